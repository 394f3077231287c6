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

  # The deliveries of messages that were produced by one call, in their order: #wait for all of them, take single ones out, or let them
  # go.
  class Deliveries
    include Enumerable

    # Calls the block with each Delivery.
    def each
      return enum_for(:each) { size } unless block_given?

      size.times { |place| yield at(place) }
      self
    end

    # The Delivery at this place, from 0, or from the end when it is negative; nil when there is none.
    def [](place)
      place += size if place.negative?
      place.negative? ? nil : at(place)
    end

    def empty?
      size.zero?
    end

    # Waits until all messages were acknowledged, each at most +timeout+ seconds. Returns their DeliveryReports.
    #
    # Raises as Delivery#wait, for the first message that failed.
    def wait(timeout: nil)
      map { |delivery| delivery.wait(timeout: timeout) }
    end

    alias length size
  end

  # Produces messages. One is enough for a process; all threads may use it. It lives until #close or the end of the process.
  class Producer
    CALLABLES = "partitioner takes a callable, middleware an Array of them"
    private_constant :CALLABLES

    # Takes the producer's options by name; see docs/configuration.md. Connects in the background.
    #
    # +partitioner+ is called with a message (a Hash) that names no partition, and the number of the topic's partitions; it
    # returns one of them, or nil to leave it to the key. +middleware+ are called in order, each with the message that the one
    # before returned. Both are called on the thread that produces, before a message is sent or buffered; what they raise is raised.
    #
    # Raises ConfigError with every problem.
    def initialize(partitioner: nil, middleware: [], **options)
      take(Native::Producer.new(options), partitioner, middleware)
    end

    # A producer for the brokers of an app, with these options on top.
    def self.for_app(app_options, options = {}) # :nodoc:
      allocate.tap { |producer| producer.send(:take, Native::Producer.for_app(app_options, options)) }
    end

    # A producer for tests: it sends nothing, keeps its messages (#recorded), and acknowledges them at once. Every topic has so
    # many +partitions+. All else is as with brokers.
    def self.testing(partitions: 1, partitioner: nil, middleware: [], **options)
      native = Native::Producer.testing(partitions, options)
      allocate.tap { |producer| producer.send(:take, native, partitioner, middleware) }
    end

    # Sends a message and returns its Delivery at once. A payload of +nil+ is a tombstone. +headers+ is a Hash of String
    # values, or Arrays of them for names that repeat, or an Array of pairs; +timestamp+ a Time or an Integer of milliseconds.
    # +partition_key+ chooses the partition in place of the key; +label+ is kept with the Delivery and named in its error.
    #
    # Raises QueueFullError when the local queue had no room for +queue_full_timeout+, StoppedError after #close.
    def produce_async(topic:, payload:, key: nil, headers: nil, partition: nil, timestamp: nil, partition_key: nil, label: nil)
      if @hooked
        message = { topic: topic, payload: payload, key: key, headers: headers, partition: partition,
                    timestamp: timestamp, partition_key: partition_key, label: label }
        return @native.produce_many([prepare(message)]).first
      end
      timestamp = (timestamp.to_r * 1000).round if timestamp.is_a?(Time)
      @native.produce([topic.to_s, payload, key, headers, partition, timestamp, partition_key, label&.to_s])
    end

    # Sends a message and waits until it was acknowledged. Returns a DeliveryReport.
    def produce_sync(**message)
      produce_async(**message).wait
    end

    # Sends messages, in order: an array of Hashes with the keywords of #produce_async. Returns their Deliveries at once.
    def produce_many_async(messages)
      @native.produce_many(prepare_all(messages))
    end

    # Sends messages, in order, and waits for all of them. Returns their DeliveryReports.
    def produce_many_sync(messages)
      produce_many_async(messages).wait
    end

    # Has a message, with the keywords of #produce_async, produced at a time (a Time, or an Integer of milliseconds): puts it into the
    # topic +schedule+, from which an app with App#scheduled_messages sends it on. A time that has passed means at once. Waits until
    # that is acknowledged, and returns the message's id, by which it can be cancelled. Middleware and partitioner are not asked.
    #
    # Raises ConfigError for a time that is none or a message that can never be sent, BrokerError when +schedule+ is not there.
    def schedule(schedule, at:, topic:, payload:, key: nil, headers: nil, partition: nil, timestamp: nil, partition_key: nil, label: nil)
      timestamp = (timestamp.to_r * 1000).round if timestamp.is_a?(Time)
      # Never before its time: a part of a millisecond counts as a whole one.
      at = (at.to_r * 1000).ceil if at.is_a?(Time)
      @native.schedule(schedule.to_s, at, [topic.to_s, payload, key, headers, partition, timestamp, partition_key, label&.to_s])
    end

    # Takes a scheduled message back, and waits until that is acknowledged. When it is before the message's time, by the clock of
    # the app that would send it, the message is not sent; one that was sent or cancelled already is no error.
    def cancel(schedule, id)
      @native.cancel(schedule.to_s, id)
    end

    # Has a task of a topic of recurring tasks (App#recurring_tasks) run at its times again, from now on; "*" stands for all. Waits
    # until that is acknowledged; it is carried out within the +interval+ of the app that runs the tasks.
    #
    # Raises ConfigError for an empty name, BrokerError when +topic+ is not there.
    def enable_task(topic, task)
      @native.command_task("enable", topic.to_s, task.to_s)
    end

    # Has a task not run at its times any more, until it is enabled; otherwise as #enable_task.
    def disable_task(topic, task)
      @native.command_task("disable", topic.to_s, task.to_s)
    end

    # Has a task run once, now, also where it is disabled; otherwise as #enable_task.
    def trigger_task(topic, task)
      @native.command_task("trigger", topic.to_s, task.to_s)
    end

    # Keeps a message, with the keywords of #produce_async, until the buffer is flushed or the producer closed.
    def buffer(**message)
      @native.buffer_many(prepare_all([message]))
    end

    # Keeps messages, in order, or none of them.
    def buffer_many(messages)
      @native.buffer_many(prepare_all(messages))
    end

    # How many messages are in the buffer.
    def buffered
      @native.buffered
    end

    # Sends what is in the buffer, in order, and returns the Deliveries. What could not be sent, and all behind it, stays in the
    # buffer when the error is raised.
    def flush_buffer_async
      @native.flush_buffer
    end

    # Sends what is in the buffer and waits for all of it. Returns the DeliveryReports.
    def flush_buffer_sync
      flush_buffer_async.wait
    end

    # Throws away what is in the buffer. Returns how many messages that was.
    def clear_buffer
      @native.clear_buffer
    end

    # A Producer with other options than this one's, such as +acks+ or +compression+, over connections of its own. It is made
    # once for the same options, and closes with this one.
    def with(**options)
      native = @native.variant(options)
      Producer.allocate.tap { |producer| producer.send(:share, native, @partitioner, @middleware) }
    end

    # How many partitions a topic has; a broker is asked at most once a minute.
    def partitions(topic)
      @native.partitions(topic.to_s)
    end

    # Calls the block with an Event for everything of these names (all but those of single messages unless named), on a thread
    # of the subscription's own; see docs/events.md.
    def subscribe(*names, &block)
      @subscribers ||= Subscribers.new(@native).tap(&:start)
      @subscribers.add(names.empty? ? nil : names.flatten.map(&:to_s), block)
      self
    end

    # Makes the connections anew, with the same options: in a forked child, or after a fatal error. What was on its way belongs
    # to the old connections. Subscriptions are to be made again.
    def reopen
      reopened = @native.reopen
      @native = reopened
      @subscribers = nil
      Exit.watch(self)
      self
    end

    # What a testing producer was given until now: a Hash each, with the keywords of #produce_async and +offset+.
    def recorded
      @native.recorded
    end

    # Forgets what a testing producer was given.
    def clear_recorded
      @native.clear_recorded
      nil
    end

    # Makes the next message that a testing producer is given raise an error of this kind, such as +:queue_full+.
    def fail_next(kind, message = "planted")
      @native.fail_next(kind.to_s, message)
      nil
    end

    # Waits until nothing is on its way any more, at most +timeout+ seconds. Returns how many messages still are.
    def flush(timeout: 30)
      @native.flush(timeout)
    end

    # How many messages are on their way.
    def in_flight
      @native.in_flight
    end

    # Flushes the buffer, waits for what is on its way until +close_timeout+, gives the rest up, and ends. Closing twice is no
    # error.
    #
    # Raises TimeoutError when messages were given up.
    def close
      @native.close
      @subscribers&.join
      Exit.ignore(self)
      nil
    end

    def finish # :nodoc:
      @native.close
    rescue Error => e
      warn("libkarafka: #{e.message}")
    end

    private

    # Produces by a producer that belongs to somebody else.
    def lend(native)
      share(native, nil, [])
    end

    def take(native, partitioner = nil, middleware = [])
      share(native, partitioner, middleware)
      Exit.watch(self)
    end

    def share(native, partitioner, middleware)
      @native = native
      @partitioner = partitioner
      @middleware = Array(middleware)
      hooks = @partitioner.nil? ? @middleware : [@partitioner, *@middleware]
      raise ConfigError.new(CALLABLES, kind: :config) unless hooks.all? { |hook| hook.respond_to?(:call) }

      @hooked = !@partitioner.nil? || !@middleware.empty?
    end

    def prepare_all(messages)
      @hooked ? messages.map { |message| prepare(message) } : messages
    end

    # Middleware first, so that the partitioner sees what is sent.
    def prepare(message)
      message = @middleware.reduce(message) { |changed, step| step.call(changed) }
      return message if @partitioner.nil? || message[:partition]

      chosen = @partitioner.call(message, partitions(message.fetch(:topic)))
      chosen.nil? ? message : message.merge(partition: chosen)
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
