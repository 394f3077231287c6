# frozen_string_literal: true

# Whatever comes out of a consumer, its messages are tried again and its thread goes on.
class TestErrors < KarafkaTest
  class Odd < StandardError
    def message
      raise "no message"
    end

    def backtrace
      42
    end
  end

  class Unusual < Exception; end # rubocop:disable Lint/InheritException

  FAILURES = {
    "StandardError" => -> { raise StandardError, "plain" },
    "Exception" => -> { raise Exception, "of the base class" }, # rubocop:disable Lint/RaiseException
    "TestErrors::Unusual" => -> { raise Unusual },
    "TestErrors::Odd" => -> { raise Odd },
    "NotImplementedError" => -> { LibKarafka::BaseConsumer.new.consume },
    "NoMethodError" => -> { nil.nothing },
    "SystemStackError" => -> { deep = -> { deep.call }; deep.call },
    "UncaughtThrowError" => -> { throw :nowhere },
    "StopIteration" => -> { raise StopIteration },
    "FrozenError" => -> { "frozen".freeze << "more" },
    "SecurityError" => -> { raise SecurityError },
    "Errno::ENOENT" => -> { File.read("/nowhere/to/be/found") },
    "Timeout::Error" => -> { Timeout.timeout(0.01) { sleep 10 } },
    "LocalJumpError" => -> { JUMP.call },
    "LibKarafka::ConfigError" => -> { LibKarafka::App.new(concurrency: 0) },
    "Encoding::CompatibilityError" => -> { "ä" + "\xff".b } # rubocop:disable Style/StringConcatenation
  }.freeze

  # A block whose method has returned.
  def self.jump
    proc { return 1 }
  end
  JUMP = jump

  def test_exceptions_of_every_class_are_failures
    topic = new_topic
    seen = Queue.new
    events = Queue.new
    app = new_app(concurrency: 4)
    app.subscribe("consumer.consume.error") { |event| events << event[:error_class] }
    app.topic(topic, virtual_partitions: :by_key, retry_backoff: 10) do |messages|
      FAILURES.fetch(messages.first.key).call if attempt == 1
      seen << messages.first.key
    end
    produce(topic, FAILURES.keys.map { |name| [name, "x"] })
    app.start
    assert_equal FAILURES.keys.sort, take(seen, FAILURES.size).sort
    app.stop
    assert_equal FAILURES.keys.sort, take(events, FAILURES.size).uniq.sort
  end

  def test_jumps_out_of_a_consumer_are_harmless
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic, retry_backoff: 10, virtual_partitions: :by_key) do |messages|
      key = messages.first.key
      seen << key
      next if key == "next"
      return if key == "return"

      catch(:done) { throw :done }
    end
    produce(topic, [["next", "1"], ["return", "2"], ["throw", "3"]])
    app.start
    assert_equal %w[next return throw], take(seen, 3).sort
    app.stop
    assert_empty seen
  end

  def test_an_error_in_a_consumers_constructor_is_a_failure
    topic = new_topic
    events = Queue.new
    consumer = Class.new(LibKarafka::BaseConsumer) do
      def initialize
        raise "cannot be made"
      end
    end
    app = new_app
    app.on_event { |event| events << event if event.name == "consumer.consume.error" }
    app.topic(topic, consumer: consumer, retry_backoff: 10)
    produce(topic, [[nil, "1"]])
    app.start
    event = take(events, 1).first
    assert_equal ["RuntimeError", "cannot be made", topic, 0], [event[:error_class], event[:error], event[:topic], event[:offset]]
  end

  def test_a_failing_subscriber_harms_nobody
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.on_event { |_| raise "a subscriber's own" }
    app.on_event { |event| seen << event.name }
    app.topic(topic) { |_| nil }
    _, complaints = capture_io do
      app.start
      app.stop
    end
    assert_includes complaints, "a subscriber's own"
    assert_includes take(seen, seen.size), "app.stopped"
  end

  def test_every_kind_has_its_class
    kinds = %i[config broker auth timeout fenced not_owned handler deserialize transaction queue_full stopped forked unsupported internal]
    kinds.each do |kind|
      name = "#{kind.to_s.split('_').map(&:capitalize).join}Error"
      assert_operator LibKarafka.const_get(name), :<, LibKarafka::Error
    end
    error = assert_raises(LibKarafka::ConfigError) { LibKarafka::App.new(concurrency: 0) }
    assert_equal [:config, nil, false, false], [error.kind, error.code, error.retriable?, error.fatal?]
    assert_kind_of StandardError, error
  end
end
