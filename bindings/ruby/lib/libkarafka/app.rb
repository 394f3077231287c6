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

      # Runs an app of this class as the whole of a program: like #run, but an Interrupt (Ctrl-C) or SIGTERM that ended it is
      # not raised again.
      def run!(**options)
        @running = new(**options)
        @running.run
      rescue SignalException => e
        raise unless %w[SIGINT SIGTERM].include?("SIG#{Signal.signame(e.signo)}")
      ensure
        @running = nil
      end

      # Asks the app that #run! runs to stop, and returns at once.
      def stop!
        @running&.stop(wait: false)
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

    # Starts polling and the worker threads, and returns at once.
    #
    # Raises ConfigError when there is no topic, StoppedError when it was started before.
    def start
      @native.start
      Exit.watch(self)
      @subscribers.start
      @workers.add(@native.concurrency)
      self
    end

    # Starts, and waits until the app has stopped. An exception that reaches the waiting thread, such as the Interrupt of
    # Ctrl-C, stops the app gracefully and is raised again after that.
    def run
      start
      begin
        join
      ensure
        stop unless phase == :stopped
      end
      nil
    end

    # Waits until the app has stopped, at most +timeout+ seconds. Returns whether it has. Everybody who asks gets the same
    # answer, also the second time.
    #
    # Raises what a consumer raised that concerns the whole process (SystemExit, Interrupt, NoMemoryError; while nobody
    # waits, it is raised in the main thread), and TimeoutError when consumers had to be left behind.
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
      @joining -= 1
    end

    # Stops: running consumers finish, what is done is committed, the groups are left. Waits for it, but for consumers and
    # subscribers, where it returns at once. +timeout+ is in seconds, +shutdown_timeout+ unless given.
    def stop(timeout: nil, wait: true)
      @native.stop(timeout)
      own = @workers.include?(Thread.current) || @subscribers.include?(Thread.current)
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

    # Where the app is in its life: +:initialized+, +:running+, +:quieting+, +:quiet+, +:stopping+ or +:stopped+.
    def phase
      @native.phase
    end

    # Calls the block with every Event, on a thread for all subscribers. Subscribe before #start to miss nothing.
    def on_event(&block)
      subscribe(nil, &block)
    end

    # Calls the block with each Event of that name. Errors that nobody subscribed to go to the standard error stream.
    def subscribe(name, &block)
      raise ArgumentError, "a block is needed" unless block

      @subscribers.add(name, block)
      self
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

    # A consumer said that the process should end: stops, and has whoever waits, or else the main thread, raise it.
    def give_up
      @native.stop(nil)
      Thread.new do
        finish
        Thread.main.raise(@dispatcher.verdict) unless @told || @joining.positive? || Exit.exiting?
      end
    end

    def add(topic)
      unless topic.consumer_class.respond_to?(:new)
        message = "add a topic: #{topic.name} needs a consumer: a class, or a block that takes messages"
        raise ConfigError.new(message, kind: :config)
      end
      index, stays = @native.add_topic(topic.name, topic.options)
      @dispatcher.add(index, topic, stays)
    end
  end
end
