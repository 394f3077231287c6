# frozen_string_literal: true

module LibKarafka
  # Calls user code for the native worker loop, on the thread that runs it. Several threads use one dispatcher.
  class Dispatcher # :nodoc:
    # A topic's consumers. Those that stay are kept by partition and virtual partition until the partition goes.
    class Route
      attr_reader :partitioner, :unique_value, :filter, :failures

      def initialize(topic, stays)
        @consumer_class = topic.consumer_class
        @partitioner = topic.partitioner
        @unique_value = topic.unique_value
        @failures = topic.failures
        @filter = topic.filtering
        @stays = stays
        @hears_initialized = BaseConsumer.hears?(@consumer_class, :initialized)
        @hears_revoked = BaseConsumer.hears?(@consumer_class, :revoked)
        @kept = {}
        @lock = Mutex.new
      end

      # The consumer of a call, or of a hook.
      def consumer_for(messages, hook = nil)
        part = messages.virtual_partition if @stays
        return fresh(messages) unless part

        key = [messages.ownership_number, part]
        kept = @lock.synchronize { farewell?(hook) ? @kept.delete(key) : @kept[key] }
        # The core runs one call of a virtual partition at a time, so nobody else makes this one meanwhile.
        kept ||= Kept.new(fresh(messages), messages.ownership).tap { |made| keep(key, made) unless farewell?(hook) }
        kept.expects_farewell ||= @hears_revoked && hook != :eofed
        kept.consumer
      end

      private

      def farewell?(hook)
        hook == :revoked || hook == :shutdown
      end

      def keep(key, kept)
        @lock.synchronize do
          @kept.delete_if { |_, other| other.gone? }
          @kept[key] = kept
        end
      end

      def fresh(messages)
        @consumer_class.new.tap { |consumer| consumer.hear(:initialized, messages) if @hears_initialized }
      end
    end

    # A consumer that stays until its partition goes, and until it has heard of that where it wants to.
    Kept = Struct.new(:consumer, :ownership, :expects_farewell) do
      def gone?
        !expects_farewell && ownership.revoked?
      end
    end
    private_constant :Kept

    # Why the process should end, if a consumer said so.
    attr_reader :verdict

    # The block is told of a verdict, on the thread of the consumer.
    def initialize(&on_verdict)
      @on_verdict = on_verdict
      @routes = []
    end

    def add(index, topic, stays)
      @routes[index] = Route.new(topic, stays)
    end

    def handle(index, messages)
      @routes[index].consumer_for(messages).receive(messages)
    end

    def hook(index, name, messages)
      @routes[index].consumer_for(messages, name).hear(name, messages)
    end

    def partition(index, messages)
      partitioner = @routes[index].partitioner
      messages.map { |message| partitioner.call(message).to_s }
    end

    def unique_values(index, messages)
      unique_value = @routes[index].unique_value
      messages.map { |message| unique_value.call(message).to_s }
    end

    # What is to happen after an exception of a consumer.
    def judge(index, exception, messages, earlier)
      @routes[index].failures.verdict(exception, messages, earlier)
    end

    # Whether each message is handled, nil where the filter raised, and the first exception.
    def filter(index, messages)
      filter = @routes[index].filter
      first = nil
      answers = messages.map do |message|
        filter.call(message) ? true : false
      rescue StandardError => e
        first ||= e
        nil
      end
      [answers, first]
    end

    # A consumer raised what concerns the whole process.
    def critical(exception)
      first = @verdict.nil?
      @verdict ||= exception
      @on_verdict.call if first
    end
  end
  private_constant :Dispatcher
end
