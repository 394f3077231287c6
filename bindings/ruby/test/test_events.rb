# frozen_string_literal: true

# What an app tells of itself: events by name, numbers, statistics; and subscribers that behave badly.
class TestEvents < KarafkaTest
  def test_events_of_single_calls_come_to_who_names_them_with_numbers
    topic = new_topic
    calls = Queue.new
    usual = Queue.new
    app = new_app
    app.subscribe("consumer.consume", "consumer.consumed") { |event| calls << event }
    app.on_event { |event| usual << event }
    app.topic(topic, max_messages: 5) { |_| sleep 0.01 }
    produce(topic, [[nil, "x"]])
    app.start
    began, ended = take(calls, 2)
    assert_equal %w[consumer.consume consumer.consumed], [began.name, ended.name]
    assert_equal [topic, 0, 0, 1, 1], began.fields.values_at(:topic, :partition, :offset, :messages, :attempt)
    assert_equal true, ended[:succeeded]
    assert_kind_of Float, ended[:time_taken_ms]
    assert_operator ended[:time_taken_ms], :>=, 10
    app.stop
    usual = take(usual, usual.size)
    refute(usual.any? { |event| event.name.start_with?("consumer.") })
    assigned = usual.find { |event| event.name == "rebalance.partitions_assigned" }
    assert_equal [[topic, 0]], assigned[:partitions]
  end

  def test_workers_tell_of_their_jobs_to_who_names_them
    topic = new_topic
    workers = Queue.new
    app = new_app
    app.subscribe("worker.process", "worker.processed") { |event| workers << event }
    # What the worker is busy with.
    app.topic(topic) { |_| sleep 0.01 }
    produce(topic, [[nil, "x"]])
    app.start
    took, freed = take(workers, 2)
    assert_equal %w[worker.process worker.processed], [took.name, freed.name]
    assert_equal ["handler", topic, 0, 0, 1], took.fields.values_at(:calls, :topic, :partition, :offset, :messages)
    assert_equal took[:worker], freed[:worker]
    assert_operator freed[:time_taken_ms], :>=, 10
    app.stop
  end

  def test_a_name_that_no_event_has_is_refused
    error = assert_raises(LibKarafka::ConfigError) { new_app.subscribe("consumer.consumd") { |_| nil } }
    assert_includes error.message, "did you mean"
  end

  def test_failures_come_to_subscribers_of_error_occurred
    topic = new_topic
    failures = Queue.new
    app = new_app
    app.subscribe("error.occurred") { |event| failures << event }
    failing = true
    app.topic(topic, retry_backoff: 1) do |_|
      raise ArgumentError, "look here" if failing

      failing = false
    end
    produce(topic, [[nil, "x"]])
    app.start
    event = take(failures, 1).first
    failing = false
    assert_equal ["consumer.consume.error", "Handler", topic, 0, 0], event.fields.values_at(:type, :kind, :topic, :partition, :offset)
    assert_includes event[:backtrace], "test_events.rb"
    refute_includes event.to_s, "backtrace"
  end

  def test_subscribers_that_raise_or_never_come_back_harm_nobody
    topic = new_topic
    seen = Queue.new
    names = Queue.new
    app = new_app
    app.subscribe("*") { |_| sleep }
    app.subscribe("app.*") { |_| raise NotImplementedError, "the subscriber's own" }
    app.subscribe("app.*") { |event| names << event.name }
    app.topic(topic) { |messages| messages.each { |message| seen << message.offset } }
    produce(topic, Array.new(20) { [nil, "x"] })
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    _, complaints = capture_io do
      app.start
      take(seen, 20)
      app.stop
    end
    assert_includes complaints, "the subscriber's own"
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - started, :<, 20
    assert_equal %w[app.running app.stopping app.stopped], take(names, 3)
  end

  def test_statistics_go_on_while_a_consumer_blocks
    topic = new_topic
    told = Queue.new
    running = Queue.new
    gate = Queue.new
    app = new_app(statistics_interval: 100, concurrency: 1)
    app.subscribe("statistics.emitted") { |event| told << event }
    app.topic(topic) do |_|
      running << 1
      gate.pop
    end
    assert_raises(LibKarafka::StoppedError) { app.statistics }
    produce(topic, Array.new(10) { [nil, "x"] })
    app.start
    take(running, 1)
    partition = eventually("a lag") do
      event = told.pop
      event[:workers_busy] == 1 && event[:clients].flat_map { |client| client[:partitions] }.find { |known| known[:lag] }
    end
    assert_equal [topic, 0, 10], partition.values_at(:topic, :partition, :lag)
    call = app.statistics[:calls].first
    assert_equal [topic, 0, 0, "handle"], call.values_at(:topic, :partition, :offset, :kind)
    assert_kind_of Integer, call[:worker]
  ensure
    20.times { gate << 1 }
  end

  RUNNING = <<~RUBY
    LibKarafka.embedded_broker("child").create_topic("t")
    LibKarafka::Producer.new(bootstrap_servers: ADDRESS).produce_sync(topic: "t", payload: "x")
    class Program < LibKarafka::App
      setup { |config| config.bootstrap_servers = ADDRESS }
      routes.draw { topic("t") { |_| puts "handling"; sleep if HOLD } }
      def initialize(**)
        super
        subscribe("app.quiet", "app.stopping") { |event| puts event.name }
        subscribe("process.notice_signal") { |event| puts "noticed " + event[:signal] }
      end
    end
    Program.run!
    puts "returned"
  RUBY

  def test_quiet_goes_on_and_quiet_then_stop_returns
    output, status, = run_ruby("HOLD = false\n#{RUNNING}") do |pid, so_far|
      signal(pid, so_far, :TSTP, "handling")
      signal(pid, so_far, :CONT, "app.quiet")
      signal(pid, so_far, :TSTP, "noticed CONT")
      eventually("quiet again") { so_far.scan("app.quiet").size == 2 }
      Process.kill(:TERM, pid)
    end
    assert_predicate status, :success?, output
    assert output.end_with?("returned\n"), output
  end

  def test_ttin_tells_what_every_worker_does_and_the_second_signal_forces
    output, status, seconds = run_ruby("HOLD = true\n#{RUNNING}") do |pid, so_far|
      signal(pid, so_far, :TTIN, "handling")
      eventually("the backtrace in #{so_far}") { so_far.include?("karafka-work-1 (thread ") && so_far.include?("sleep") }
      signal(pid, so_far, :INT, "handle of t/0 from offset 0 (1 records)")
      signal(pid, so_far, :TERM, "app.stopping")
    end
    assert_equal 2, status.exitstatus, output
    assert_includes output, "forced: 1 calls"
    refute_includes output, "returned"
    assert_operator seconds, :<, 20
  end
end
