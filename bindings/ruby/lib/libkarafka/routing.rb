# frozen_string_literal: true

module LibKarafka
  # Which topics an app reads, and what it does with their messages.
  #
  #   routes.draw do
  #     consumer_group :billing do
  #       topic "orders" do
  #         consumer OrdersConsumer
  #         virtual_partitions partitioner: ->(message) { message.key }
  #         max_messages 100
  #       end
  #     end
  #     topic("payments", max_messages: 10) { |messages| messages.each { |message| p message.payload } }
  #   end
  class Routing
    # A topic and what is done with its messages.
    class Topic
      include Outputs

      attr_reader :name, :consumer_class, :partitioner, :unique_value, :filtering, :options, :failures

      # A Regexp as the core takes patterns of topics: text that begins with +^+ and that the whole name has to match.
      def self.pattern(regexp)
        unknown = regexp.options & (Regexp::EXTENDED | Regexp::MULTILINE)
        raise ConfigError.new("#{regexp.inspect}: a pattern of topics takes the option i only", kind: :config) if unknown != 0

        "^#{"(?i)" if regexp.casefold?}#{regexp.source}"
      end

      # The name may be a Regexp: then it is a pattern of topics. A block that takes messages is the body of +consume+; one that takes nothing sets options by calling them.
      def initialize(name, consumer: nil, partitioner: nil, retry_on: nil, discard_on: nil, **options, &block)
        @name = name.is_a?(Regexp) ? Topic.pattern(name) : name.to_s
        @consumer_class = consumer
        @options = {}
        @failures = Failures.new
        retry_on(*retry_on) if retry_on
        discard_on(*discard_on) if discard_on
        options.each { |option, value| @options[option] = value unless value.nil? }
        self.partitioner = partitioner if partitioner
        virtual_partitions(@options.delete(:virtual_partitions)) if @options.key?(:virtual_partitions)
        unique_by(@options.delete(:unique_by)) if @options.key?(:unique_by)
        filter(@options.delete(:filter)) if @options.key?(:filter)
        produces(@options.delete(:produces)) if @options.key?(:produces)
        if block&.arity&.zero?
          instance_exec(&block)
        elsif block
          take_block(consumer, &block)
        end
        take_strategy
      end

      Native.options(:topic).each do |option|
        name = option[:name]
        own = %i[virtual_partitions unique_by filter produces].include?(name)
        define_method(name) { |value| @options[name] = value } unless own
      end

      # Only exceptions of these classes are tried again; the message of any other goes to the dead letter queue at once.
      def retry_on(*classes)
        @failures.retry_on(classes)
      end

      # A message for which an exception of these classes is raised counts as done.
      def discard_on(*classes)
        @failures.discard_on(classes)
      end

      # The consumer's class.
      def consumer(consumer_class)
        @consumer_class = consumer_class
      end

      # Which of two is meant, and what to call a lambda of two with, nobody can say.
      def take_block(consumer, &block)
        wrong = "a consumer and a block that takes messages: one of them" if consumer
        wrong ||= "a lambda that takes messages has one parameter, not #{block.parameters.size}" if block.lambda? && ![1, -1, -2].include?(block.arity)
        raise ConfigError.new("add a topic: #{@name} has #{wrong}", kind: :config) if wrong

        @consumer_class = BaseConsumer.of(&block)
      end
      private :take_block

      # The options, and what the consumer's class says that it writes.
      def settings
        inherited = consumer_class.respond_to?(:outputs) ? consumer_class.outputs : {}
        outputs = inherited.merge(outputs_of_own)
        outputs.empty? ? options : options.merge(produces: outputs)
      end

      # Which messages are handled: those of which the callable says so. What it skips counts as finished.
      def filter(callable = nil, &block)
        @filtering = callable || block
        raise ConfigError.new("filter takes a callable or a block", kind: :config) unless @filtering.respond_to?(:call)

        @options[:filter] = true
      end

      # How partitions are split: +:by_key+ (the default), a number of virtual partitions, +:round_robin+, +:off+, or a
      # callable whose value takes the place of the key.
      def virtual_partitions(mode = nil, partitioner: nil, max: nil)
        mode, partitioner = nil, mode if mode.respond_to?(:call)
        given = [mode, partitioner, max].compact
        raise ConfigError.new(ONE_SPLIT, kind: :config) if given.size > 1
        return self.partitioner = partitioner if partitioner

        @options[:virtual_partitions] = given.empty? ? :by_key : given.first
      end

      # What no two messages may have in common that are handled at the same time, over all topics of the process: +:key+,
      # +:off+, or a callable that gets a message and returns it; +nil+ does not limit the message.
      def unique_by(value)
        @unique_value = value.respond_to?(:call) ? value : nil
        @options[:unique_by] = @unique_value ? :callback : value
      end

      ONE_SPLIT = "virtual_partitions takes one of: a mode, partitioner:, max:"
      private_constant :ONE_SPLIT

      private

      # A strategy is called with the message that failed, its exception and an Array of earlier ones (pairs of class and
      # text). The core only knows that there is one.
      def take_strategy
        group, alone = @options.values_at(:dead_letter_queue, :dead_letter_queue_strategy)
        if group.is_a?(Hash) && group[:strategy].respond_to?(:call)
          @failures.strategy = group[:strategy]
          @options[:dead_letter_queue] = group.merge(strategy: true)
        elsif alone.respond_to?(:call)
          @failures.strategy = alone
          @options[:dead_letter_queue_strategy] = true
        end
      end

      def partitioner=(partitioner)
        @partitioner = partitioner
        @options[:virtual_partitions] = :callback
      end
    end

    attr_reader :topics

    def initialize
      @topics = []
      @group = nil
    end

    # Adds what the block says.
    def draw(&block)
      instance_exec(&block)
      self
    end

    # The topics in the block are read by this group.
    def consumer_group(name)
      @group = name.to_s
      yield
    ensure
      @group = nil
    end

    # Adds a topic; a name that begins with +^+ is a pattern.
    def topic(name, **options, &block)
      topics << Topic.new(name, group: @group, **options, &block)
    end

    def initialize_copy(other)
      super
      @topics = @topics.dup
    end
  end
end
