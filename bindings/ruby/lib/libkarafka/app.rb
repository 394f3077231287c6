# frozen_string_literal: true

module LibKarafka
  # An app: topics, their consumers, and the threads that serve them.
  #
  # Either described as a class:
  #
  #   class Billing < LibKarafka::App
  #     setup { |config| config.bootstrap_servers = "localhost:9092" }
  #     routes.draw { topic("orders", consumer: OrdersConsumer, virtual_partitions: :by_key) }
  #   end
  #   Billing.run!
  #
  # or made as an object:
  #
  #   app = LibKarafka::App.new(bootstrap_servers: "localhost:9092", group: "billing")
  #   app.topic("orders", virtual_partitions: :by_key) { |messages| messages.each { |message| p message.payload } }
  #   app.run
  #
  # Consumers run on Ruby threads, +concurrency+ of them. All methods may be called from any thread, also in a consumer.
  # Nothing is started before #start, so that a process may fork until then; after a fork every method of the parent's apps
  # raises ForkedError.
  class App
    class << self
      # Yields the Config of this class.
      def setup
        yield config
        LibKarafka.producer_for(config)
      end

      # The options of this class; a subclass begins with those of its parent.
      def config
        @config ||= self == App ? Config.new : superclass.config.dup
      end

      # The topics of this class; a subclass begins with those of its parent.
      def routes
        @routes ||= self == App ? Routing.new : superclass.routes.dup
      end

      # Runs an app of this class as the whole of a program: like #run with +signals+, and with the status of the error,
      # where the app ended with one: 2 when consumers had to be left behind, 3 when the parent of the process is gone.
      def run!(**options)
        @running = new(**options)
        @running.run(signals: true)
      rescue Error => e
        raise if e.exit_code == 1

        tell("libkarafka: #{e.message}")
        e.exit_code == 2 ? force(@running) : exit(e.exit_code)
      ensure
        @running = nil
      end

      # Asks the app that #run! runs to stop, and returns at once.
      def stop!
        @running&.stop(wait: false)
      end

      private

      # What still runs may hold locks that an orderly end would wait for.
      def force(app)
        tell(app.backtraces)
        [$stdout, $stderr].each { |stream| unhindered { stream.flush } }
        exit!(2)
      end

      def tell(text)
        unhindered { warn(text) }
      end

      # A stream that nobody reads any more keeps no program from ending as it should.
      def unhindered
        yield
      rescue SystemCallError, IOError
        nil
      end
    end

    # Takes options by name; they come on top of those of the class.
    #
    # Raises ConfigError with every problem.
    def initialize(**options)
      config = self.class.config
      options = config.to_h.merge(options)
      @native = Native::App.new(options)
      @dispatcher = Dispatcher.new { give_up }
      @joining = 0
      @told = false
      @workers = Workers.new(@native, @dispatcher)
      @subscribers = Subscribers.new(@native)
      @recurring = []
      LibKarafka.producer_for(Config.new(options, config.producer))
      self.class.routes.topics.each { |topic| add(topic) }
    end

    # Adds a topic, or by a Regexp all topics whose names match it as a whole, with its options by name and a consumer: +consumer:+ is a class with +consume+, a block that takes
    # messages is the body of one. See Routing::Topic for what else a block can say.
    #
    # Raises ConfigError with every problem, StoppedError once the app was started.
    def topic(name, **options, &block)
      add(Routing::Topic.new(name, **options, &block))
      self
    end

    # Sends the messages of a topic of scheduled messages (Producer#schedule) on when their time has come. Options: +interval+, how
    # often is looked for what is due (1 s), and +group+, the consumer group (the app's). The start checks that the topic is there and
    # compacted.
    #
    # Raises ConfigError for name and options, StoppedError once the app was started.
    def scheduled_messages(topic, **options)
      @native.scheduled_messages(topic.to_s, options)
      self
    end

    # Keeps recurring tasks in a topic: declare them by RecurringTasks#task, before #start. Of all members of the group one runs
    # them. Options: +interval+, how often is looked for what is due (1 s), +group+, the consumer group (the app's), +log_topic+, a topic
    # that gets a record for each run (none), +time_zone+, that of the patterns (UTC), and +catch_up+, whether one run makes up for times
    # that were missed (true). The start checks that the topic is there and compacted, and that the log's is there.
    #
    # Raises ConfigError for names, options and a time zone that is not there; StoppedError once the app was started.
    def recurring_tasks(topic, **options)
      native, tasks = @native.recurring_tasks(topic.to_s, options), {}
      @recurring += [TaskThread.new(native, tasks)]
      RecurringTasks.new(native, tasks)
    end

    # Starts polling and the worker threads, and returns at once.
    #
    # Raises ConfigError when there is no topic, StoppedError when it was started before.
    def start
      @native.start
      @scheduler&.start
      @recurring.each(&:start)
      Exit.watch(self)
      @subscribers.start
      @workers.add(@native.concurrency)
      self
    end

    # Starts, and waits until the app has stopped. An exception that reaches the waiting thread, such as the Interrupt of
    # Ctrl-C, stops the app gracefully and is raised again after that.
    #
    # With +signals+, for programs that do nothing else: TERM, INT and QUIT stop it gracefully, a second one no longer waits
    # for consumers; TSTP has it quiet, CONT goes on; TTIN writes to the standard error stream what every worker does, with
    # its backtrace. The program's own traps are put back at the end.
    def run(signals: false)
      return Signals.hand_to(method(:obey)) { run } if signals

      start
      begin
        join
      ensure
        stop unless phase == :stopped
      end
      nil
    end

    # What the Ruby threads of the app do now, a backtrace each, as text.
    def backtraces
      @workers.backtraces
    end

    # Waits until the app has stopped, at most +timeout+ seconds. Returns whether it has. Everybody who asks gets the same
    # answer, also the second time.
    #
    # Raises what a consumer raised that concerns the whole process (SystemExit, Interrupt, NoMemoryError; while nobody
    # waits, it is raised in the main thread), and TimeoutError when consumers had to be left behind, StoppedError when the
    # app was not started.
    def join(timeout = nil)
      @joining += 1
      return false unless @native.join(timeout)

      Exit.ignore(self)
      @workers.join
      @subscribers.join
      if @dispatcher.verdict
        @told = true
        raise @dispatcher.verdict
      end
      true
    ensure
      @recurring.each(&:close) if @native.phase == :stopped
      @joining -= 1
    end

    # Stops: running consumers finish, what is done is committed, the groups are left. Waits for it, but for consumers and
    # subscribers, where it returns at once. +timeout+ is in seconds, +shutdown_timeout+ unless given.
    def stop(timeout: nil, wait: true)
      @native.stop(timeout)
      own = [@workers, @subscribers, *@recurring].any? { |threads| threads.include?(Thread.current) }
      join if wait && !own
      nil
    end

    # Starts no more calls; those that run go on, partitions are kept. #resume undoes it.
    def quiet
      @native.quiet
    end

    # Consumes again after #quiet.
    def resume
      @native.resume
    end

    # Changes how many calls run at once.
    def resize(concurrency)
      @workers.add(@native.resize(concurrency))
      self
    end

    # Has the block decide whose turn it is when more work waits than may run at once, before #start. It gets an array of
    # Candidate and returns them, or some of them, the best one first. It is called on a thread of its own; nobody waits for it
    # but for a few milliseconds. What it raises is an event, and the app goes on without it.
    def scheduler(&block)
      raise ArgumentError, "a block is needed" unless block

      @scheduler = Scheduler.new(@native.lend_scheduler, block)
      self
    end

    # Where the app is in its life: +:initialized+, +:running+, +:quieting+, +:quiet+, +:stopping+ or +:stopped+.
    def phase
      @native.phase
    end

    # Calls the block with every Event but those of single calls, on a thread of its own. Subscribe before #start to miss
    # nothing.
    def on_event(&block)
      subscribe(&block)
    end

    # Calls the block with each Event of these names, on a thread of its own: "app.running", "rebalance.*" for all that
    # begin so, "*" for all. Events of single calls, such as "consumer.consumed", are made only for who names them. Errors
    # that nobody subscribed to go to the standard error stream.
    #
    # Raises ConfigError for a name that no event has.
    def subscribe(*names, &block)
      raise ArgumentError, "a block is needed" unless block

      @subscribers.add(names.empty? ? nil : names.map(&:to_s), block)
      self
    end

    # How the app does now, as a Hash: its own gauges and the calls that run; of clients, brokers and lags only where
    # +statistics_interval+ is set or somebody subscribed to "statistics.emitted" before the start.
    #
    # Raises StoppedError unless the app runs, TimeoutError when it gives no answer within +timeout+ seconds.
    def statistics(timeout: 5)
      @native.statistics(Float(timeout))
    end

    def ask_to_finish # :nodoc:
      @native.stop(Exit::GRACE)
    end

    def finish # :nodoc:
      @native.join(Exit.exiting? ? Exit::GRACE + 1 : nil)
    rescue Error
      # It was published as an event.
      nil
    end

    private

    def obey(signal)
      @native.notice_signal(signal)
      warn(backtraces) if signal == "TTIN"
    end

    # A consumer said that the process should end: stops, and has whoever waits, or else the main thread, raise it.
    def give_up
      @native.stop(nil)
      Thread.new do
        finish
        Thread.main.raise(@dispatcher.verdict) unless @told || @joining.positive? || Exit.exiting?
      end
    end

    def add(topic)
      consumer = topic.consumer_class
      unless consumer.is_a?(Class) && consumer <= BaseConsumer
        given = ", not #{consumer.inspect}" unless consumer.nil?
        message = "add a topic: #{topic.name} needs a consumer: a class of LibKarafka::BaseConsumer, or a block that takes messages#{given}"
        raise ConfigError.new(message, kind: :config)
      end
      hooks = BaseConsumer.hooks_of(topic.consumer_class)
      index, stays = @native.add_topic(topic.name, topic.settings, hooks.map(&:to_s))
      @dispatcher.add(index, topic, stays)
    end
  end
end
