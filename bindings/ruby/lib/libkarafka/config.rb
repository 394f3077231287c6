# frozen_string_literal: true

module LibKarafka
  # The options of an app, by name; see docs/configuration.md. Every option of the core has a reader and a writer here:
  #
  #   setup do |config|
  #     config.bootstrap_servers = "kafka-1:9092,kafka-2:9092"
  #     config.concurrency = 20
  #     config.kafka = { "security.protocol" => "ssl" }
  #   end
  #
  # Values are checked, all at once, when the app is made. A duration is an Integer of milliseconds or text such as "10s".
  # +nil+ is an option that is not set.
  class Config
    # Options of LibKarafka.producer that differ from their defaults, as a Hash.
    attr_accessor :producer

    def initialize(values = {}, producer = {})
      @values = values.dup
      @producer = producer.dup
    end

    Native.options(:app).each do |option|
      name = option[:name]
      define_method(name) { @values[name] }
      define_method(:"#{name}=") { |value| @values[name] = value }
    end

    def [](name)
      @values[name.to_sym]
    end

    def []=(name, value)
      @values[name.to_sym] = value
    end

    def to_h
      @values.dup
    end

    # Names only: values may be secrets.
    def inspect
      "#<#{self.class} #{@values.keys.join(", ")}>"
    end

    def initialize_copy(other)
      super
      @values = @values.dup
      @producer = @producer.dup
    end
  end

  # The options of a scope (+:app+, +:topic+ or +:producer+): an array of hashes with name, type, unit, default, range and
  # doc.
  def self.options(scope)
    Native.options(scope)
  end
end
