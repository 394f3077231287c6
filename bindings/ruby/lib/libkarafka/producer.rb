# frozen_string_literal: true

module LibKarafka
  # Where a message was appended. The offset is -1 when the broker did not tell.
  DeliveryReport = Struct.new(:partition, :offset, :timestamp)

  # A message on its way: wait for it, or let it go.
  class Delivery
    # Waits until the message was acknowledged. Returns a DeliveryReport.
    #
    # Raises TimeoutError when that did not happen in +timeout+ seconds (it may still be delivered), else the error with which
    # it was given up.
    def wait(timeout: nil)
      partition, offset, milliseconds = await_report(timeout)
      unless partition
        message = "deliver: no acknowledgement within #{timeout} s; the message may still be delivered"
        raise TimeoutError.new(message, kind: :timeout, retriable: true)
      end

      timestamp = Time.at(0, milliseconds, :millisecond).utc unless milliseconds.negative?
      DeliveryReport.new(partition, offset, timestamp).freeze
    end
  end

  # Produces messages. One is enough for a process; all threads may use it. It lives until #close or the end of the process.
  class Producer
    # Takes the producer's options by name; see docs/configuration.md. Connects in the background.
    #
    # Raises ConfigError with every problem.
    def initialize(**options)
      @native = Native::Producer.new(options)
      Exit.watch(self)
    end

    # A producer for the brokers of an app, with these options on top.
    def self.for_app(app_options, options = {}) # :nodoc:
      allocate.tap { |producer| producer.send(:take, Native::Producer.for_app(app_options, options)) }
    end

    # Sends a message and returns its Delivery at once. A payload of +nil+ is a tombstone. +headers+ is a Hash of String
    # values, or Arrays of them for names that repeat, or an Array of pairs; +timestamp+ a Time or an Integer of milliseconds
    # (0 is now, as +nil+ is: librdkafka does not tell them apart).
    #
    # Raises QueueFullError when the local queue had no room for +queue_full_timeout+, StoppedError after #close.
    def produce_async(topic:, payload:, key: nil, headers: nil, partition: nil, timestamp: nil)
      @native.produce(fields(topic, payload, key, headers, partition, timestamp))
    end

    # Sends a message and waits until it was acknowledged. Returns a DeliveryReport.
    def produce_sync(**message)
      produce_async(**message).wait
    end

    # Sends messages, in order: an array of Hashes with the keywords of #produce_async. Returns their Deliveries at once.
    def produce_many_async(messages)
      @native.produce_many(messages.map { |message| fields_of(**message) })
    end

    # Sends messages, in order, and waits for all of them. Returns their DeliveryReports.
    def produce_many_sync(messages)
      produce_many_async(messages).map(&:wait)
    end

    # Waits until nothing is on its way any more, at most +timeout+ seconds. Returns how many messages still are.
    def flush(timeout: 30)
      @native.flush(timeout)
    end

    # How many messages are on their way.
    def in_flight
      @native.in_flight
    end

    # Waits for what is on its way until +close_timeout+, gives the rest up, and ends. Closing twice is no error.
    #
    # Raises TimeoutError when messages were given up.
    def close
      @native.close
      Exit.ignore(self)
      nil
    end

    def finish # :nodoc:
      @native.close
    rescue Error => e
      warn("libkarafka: #{e.message}")
    end

    private

    def take(native)
      @native = native
      Exit.watch(self)
    end

    def fields_of(topic:, payload:, key: nil, headers: nil, partition: nil, timestamp: nil)
      fields(topic, payload, key, headers, partition, timestamp)
    end

    def fields(topic, payload, key, headers, partition, timestamp)
      timestamp = (timestamp.to_r * 1000).round if timestamp.is_a?(Time)
      [topic.to_s, payload, key, headers, partition, timestamp]
    end
  end

  @producer_lock = Mutex.new
  @producer = nil
  @producer_process = nil
  @producer_config = nil

  class << self
    # The producer of this process. Unless one was set, it is made at the first call, for the brokers of the first app that
    # was configured, with the options that its +config.producer+ has.
    #
    # Raises ConfigError when no app was configured.
    def producer
      @producer_lock.synchronize do
        @producer = nil unless @producer_process == Process.pid
        @producer_process = Process.pid
        @producer ||= begin
          message = "make a producer: configure an app first, or set LibKarafka.producer = LibKarafka::Producer.new(...)"
          raise ConfigError.new(message, kind: :config) unless @producer_config

          Producer.for_app(@producer_config.to_h, @producer_config.producer)
        end
      end
    end

    def producer=(producer)
      @producer_lock.synchronize do
        @producer = producer
        @producer_process = Process.pid
      end
    end

    def producer_for(config) # :nodoc:
      @producer_config ||= config
    end
  end
end
