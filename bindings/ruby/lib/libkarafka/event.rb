# frozen_string_literal: true

module LibKarafka
  # Something that happened in an app.
  class Event
    # The dotted name, such as "consumer.consume.error".
    attr_reader :name

    # What is to be known about it: a Hash by Symbol; numbers are numbers.
    attr_reader :fields

    def initialize(name, fields, urgent)
      @name = name
      @fields = fields
      @urgent = urgent
    end

    def [](field)
      @fields[field]
    end

    # Whether a person should see it when no program asked for it.
    def urgent?
      @urgent
    end

    def to_s
      [name, *fields.except(:backtrace).map { |field, value| "#{field}=#{value.inspect}" }].join(" ")
    end

    def inspect
      "#<#{self.class} #{self}>"
    end
  end
end
