# frozen_string_literal: true

# Threads that are killed, raised in or told to exit while they hold a job.
class TestThreads < KarafkaTest
  def test_a_killed_worker_is_replaced_and_its_messages_are_tried_again
    topic = new_topic
    seen = Queue.new
    unwound = Queue.new
    app = new_app(concurrency: 1)
    app.on_event { |_| nil }
    app.topic(topic, retry_backoff: 10) do |messages|
      seen << [attempt, Thread.current]
      Thread.current.kill if attempt == 1
      messages.payloads
    ensure
      unwound << 1
    end
    produce(topic, [[nil, "1"]])
    app.start
    (first, killed), (second, alive) = take(seen, 2)
    assert_equal [1, 2], [first, second]
    refute_same killed, alive
    take(unwound, 2)
    refute_predicate killed, :alive?
  end

  def test_workers_killed_from_outside_are_replaced_wherever_they_are
    topic = new_topic
    seen = Queue.new
    app = new_app(concurrency: 3)
    app.on_event { |_| nil }
    app.topic(topic, virtual_partitions: :by_key, retry_backoff: 10) do |messages|
      sleep if messages.first.key == "blocked" && attempt == 1
      seen << messages.first.key
    end
    app.start
    eventually("three threads") { workers_of(app).size == 3 }
    idle = workers_of(app)
    idle.each(&:kill)
    assert(idle.all? { |thread| thread.join(5) })
    eventually("three new threads") { (workers_of(app) - idle).size == 3 }
    produce(topic, [["blocked", "x"], ["other", "x"]])
    assert_equal ["other"], take(seen, 1)
    workers_of(app).each(&:kill)
    assert_equal ["blocked"], take(seen, 1)
  end

  def test_workers_killed_before_they_begin_are_replaced
    topic = new_topic
    seen = Queue.new
    app = new_app(concurrency: 3)
    app.topic(topic) { |messages| seen << messages.first.payload }
    others = Thread.list
    app.start
    (Thread.list - others).select { |thread| thread.name&.start_with?("karafka-work") }.each(&:kill)
    produce(topic, [["key", "alive"]])
    assert_equal ["alive"], take(seen, 1)
    eventually("three threads") { workers_of(app).size == 3 }
  end

  def test_an_exception_raised_in_an_idle_worker_ends_only_that_thread
    app = new_app(concurrency: 2)
    app.topic(new_topic) { |_| nil }
    app.start
    eventually("two threads") { workers_of(app).size == 2 }
    victim = workers_of(app).first
    victim.report_on_exception = false
    victim.raise("from outside")
    assert_raises(RuntimeError) { victim.join(5) }
    eventually("another thread") { (workers_of(app) - [victim]).size == 2 }
  end

  # Which threads, and when, follows from minitest's seed.
  def test_nothing_is_lost_while_workers_are_killed_all_the_time
    topic = new_topic(partitions: 2)
    handled = Hash.new { |all, number| all[number] = 0 }
    order = Hash.new { |all, key| all[key] = [] }
    app = new_app(concurrency: 6)
    app.on_event { |_| nil }
    app.topic(topic, virtual_partitions: :by_key, retry_backoff: 5, retry_backoff_max: 5, max_messages: 5) do |messages|
      messages.each do |message|
        sleep 0.001
        number = Integer(message.payload)
        order[message.key] << number if (handled[number] += 1) == 1
        mark_as_consumed(message)
      end
    end
    app.start
    produce(topic, (0...600).map { |number| ["key-#{number % 20}", number.to_s] })
    150.times do
      (rand < 0.5 ? workers_of(app).sample : workers_of(app).first)&.kill
      sleep rand * 0.004
    end
    eventually("600 messages") { handled.size == 600 }
    eventually("six threads") { workers_of(app).size == 6 }
    order.each { |key, numbers| assert_equal numbers.sort, numbers, key }
    app.stop
  end

  [[-> { exit 3 }, SystemExit], [-> { raise Interrupt }, Interrupt], [-> { raise SignalException, "TERM" }, SignalException],
   [-> { raise NoMemoryError, "pretended" }, NoMemoryError], [-> { abort }, SystemExit]].each_with_index do |(last, error), number|
    define_method(:"test_what_concerns_the_process_stops_the_app_and_is_raised_by_run_#{error}_#{number}") do
      topic = new_topic
      group = unique("group")
      calls = Queue.new
      failures = Queue.new
      app = new_app(group: group)
      app.subscribe("consumer.consume.error") { |event| failures << event }
      app.topic(topic) do |_|
        calls << attempt
        last.call
      end
      produce(topic, [[nil, "1"]])
      assert_raises(error) { capture_io { app.run } }
      assert_equal :stopped, app.phase
      assert_equal [1], take(calls, calls.size)
      assert_empty failures
      again = new_app(group: group)
      again.topic(topic) { |messages| calls << [attempt, messages.payloads] }
      again.start
      assert_equal [[1, ["1"]]], take(calls, 1)
    end
  end

  # The embedded broker keeps no transactions: this is what the core is asked for.
  Asked = Struct.new(:interrupts, :calls) do
    def begin(_) = self
    def open? = (calls & %i[commit abort]).empty?

    def producer
      Thread.current.raise(Timeout::Error, "before the block") if interrupts
      nil
    end

    %i[commit abort].each { |name| define_method(name) { calls << name } }
  end

  def test_a_transaction_is_ended_wherever_its_thread_is_interrupted
    { true => [:abort], false => [:commit] }.each do |interrupts, calls|
      native = Asked.new(interrupts, [])
      producer = LibKarafka::TransactionalProducer.allocate
      producer.instance_variable_set(:@native, native)
      producer.instance_variable_set(:@open, {}.compare_by_identity)
      begin
        producer.transaction { |transaction| assert_predicate transaction, :open? }
      rescue Timeout::Error
        assert interrupts
      end
      assert_equal calls, native.calls
    end
  end

  def test_handlers_wait_without_holding_others_up
    topic = new_topic
    ended = Queue.new
    app = new_app(concurrency: 50)
    app.topic(topic, virtual_partitions: :by_key, max_messages: 1) do |_|
      sleep 0.1
      ended << 1
    end
    produce(topic, (0...100).map { |number| [number.to_s, "x"] })
    app.start
    take(ended, 1)
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    take(ended, 99)
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - started, :<, 5, "100 naps of 0.1 s took their turn"
  end
end
