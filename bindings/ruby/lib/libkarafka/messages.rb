# frozen_string_literal: true

module LibKarafka
  # What one call of a consumer gets: messages of one partition, those of a virtual partition in order. Message objects are
  # made when somebody looks at them; +payloads+, +keys+ and +offsets+ make none.
  class Messages
    include Enumerable

    alias length size
    alias raw_payloads payloads
    alias raw_keys keys

    def each
      return enum_for(:each) { size } unless block_given?

      size.times { |index| yield at(index) }
      self
    end

    def [](index, *length)
      return to_a[index, *length] unless length.empty? && index.is_a?(Integer)

      index += size if index.negative?
      at(index) if index >= 0 && index < size
    end

    def first(*count)
      count.empty? ? self[0] : super
    end

    def last(*count)
      count.empty? ? self[-1] : to_a.last(*count)
    end

    def to_a
      Array.new(size) { |index| at(index) }
    end

    def empty?
      size.zero?
    end

    def count(*arguments, &block)
      arguments.empty? && block.nil? ? size : super
    end

    def first_offset
      offset_at(0)
    end

    def last_offset
      offset_at(size - 1)
    end

    def inspect
      "#<#{self.class} #{topic}/#{partition}, #{size} from #{first_offset}>"
    end

    private

    def at(index)
      @messages ||= []
      @messages[index] ||= Message.new(self, index)
    end
  end
end
