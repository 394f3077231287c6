# frozen_string_literal: true

# An app from its first topic to its end.
class TestLife < KarafkaTest
  def test_a_stop_takes_any_length_of_time
    app = new_app
    app.topic(new_topic) { |_| pause(1.8e19) }
    app.start
    app.stop(timeout: 1.8e19)
    assert_equal :stopped, app.phase
  end

  def test_phases_and_their_events
    topic = new_topic
    names = Queue.new
    app = new_app
    app.on_event { |event| names << event.name }
    app.topic(topic) { |_| nil }
    assert_equal :initialized, app.phase
    app.start
    eventually("partitions") { names.size >= 3 }
    assert_equal :running, app.phase
    app.stop
    assert_equal :stopped, app.phase
    names = take(names, names.size)
    assert_equal "app.running", names.first
    assert_equal "app.stopped", names.last
    assert_includes names, "rebalance.partitions_assigned"
    assert_includes names, "app.stopping"
  end

  def test_quiet_starts_nothing_until_resumed
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic) { |messages| messages.payloads.each { |payload| seen << payload } }
    produce(topic, [[nil, "before"]])
    app.start
    take(seen, 1)
    app.quiet
    eventually("quiet") { app.phase == :quiet }
    produce(topic, [[nil, "meanwhile"]])
    assert_empty seen
    app.resume
    assert_equal ["meanwhile"], take(seen, 1)
  end

  def test_resizing_changes_how_many_calls_run_at_once
    topic = new_topic
    running = Queue.new
    gate = Queue.new
    app = new_app(concurrency: 1)
    app.topic(topic, virtual_partitions: :by_key) do |_|
      running << 1
      gate.pop
    end
    produce(topic, (0...12).map { |number| [number.to_s, "x"] })
    app.start
    take(running, 1)
    app.resize(5)
    take(running, 4)
    assert_equal 5, eventually("five threads") { (n = workers_of(app).size) == 5 && n }
    app.resize(2)
    5.times { gate << 1 }
    take(running, 2)
    eventually("two threads") { workers_of(app).size == 2 }
    7.times { gate << 1 }
    take(running, 5)
    assert_raises(LibKarafka::ConfigError) { app.resize(0) }
  ensure
    20.times { gate << 1 }
  end

  def test_use_after_stop_is_an_error_and_stopping_twice_is_none
    app = new_app
    app.topic(new_topic) { |_| nil }
    app.start
    assert_raises(LibKarafka::StoppedError) { app.start }
    assert_raises(LibKarafka::StoppedError) { app.topic("another") { |_| nil } }
    app.stop
    app.stop
    assert app.join
    %i[quiet resume start run].each { |call| assert_raises(LibKarafka::StoppedError, call) { app.send(call) } }
  end

  def test_an_app_that_was_never_started_can_be_stopped
    app = new_app
    app.stop
    assert_equal :stopped, app.phase
  end

  def test_joining_what_was_never_started_is_an_error
    app = new_app
    app.topic(new_topic) { |_| nil }
    [nil, 0.01].each { |time| assert_match(/not started/, assert_raises(LibKarafka::StoppedError) { app.join(time) }.message) }
    app.start
    app.stop
    assert app.join
  end

  def test_a_consumer_without_a_call_says_so
    seen = Queue.new
    topic = new_topic
    consumer = Class.new(LibKarafka::BaseConsumer) { define_method(:consume) { seen << [self, messages.first] } }
    app = new_app
    app.topic(topic, consumer: consumer)
    produce(topic, [[nil, "1"]])
    app.start
    kept, message = take(seen, 1).first
    app.stop
    refute kept.mark_as_consumed(message)
    [-> { kept.pause(1) }, -> { kept.seek(0) }, -> { kept.revoked? }, -> { kept.commit! }].each do |use|
      assert_match(/no call/, assert_raises(LibKarafka::StoppedError, &use).message)
    end
  end

  def test_a_standard_error_stream_that_nobody_reads_holds_up_neither_messages_nor_the_end
    reader, writer = IO.pipe
    output, out = IO.pipe
    program = <<~RUBY
      broker = LibKarafka.embedded_broker("child")
      %w[fails fine].each { |topic| broker.create_topic(topic, partitions: 1) }
      producer = LibKarafka::Producer.new(bootstrap_servers: "embedded://child")
      app = LibKarafka::App.new(bootstrap_servers: "embedded://child", shutdown_timeout: "2s")
      failed = 0
      app.topic("fails", retry_backoff: 1, retry_backoff_max: 1) { |_| failed += 1; raise "x" * 2000 }
      app.topic("fine") { |_| app.stop }
      producer.produce_sync(topic: "fails", payload: "1")
      app.start
      # More than a pipe holds.
      sleep 0.01 until failed > 100
      producer.produce_sync(topic: "fine", payload: "1")
      $stdout.puts "ended \#{app.join(20)}"
    RUBY
    pid = Process.spawn(RbConfig.ruby, "-r", "libkarafka", "-e", program, out: out, err: writer)
    [writer, out].each(&:close)
    status = eventually("the end of the program", 30) { Process.waitpid2(pid, Process::WNOHANG) }.last
    assert status.success?
    assert_equal "ended true\n", output.read
  ensure
    Process.kill(:KILL, pid) if pid && !status
    [reader, output].each(&:close)
  end

  def test_stop_in_a_consumer_returns_and_ends_run
    topic = new_topic
    app = new_app
    app.topic(topic) { |_| app.stop }
    produce(topic, [[nil, "x"]])
    assert_nil app.run
    assert_equal :stopped, app.phase
  end

  def test_join_waits_no_longer_than_asked
    app = new_app
    app.topic(new_topic) { |_| nil }
    app.start
    refute app.join(0.05)
    assert_raises(Timeout::Error) { Timeout.timeout(0.05) { app.join } }
  end

  def test_consumers_that_do_not_end_in_time_are_left_behind_and_named
    topic = new_topic
    gate = Queue.new
    running = Queue.new
    app = new_app
    app.topic(topic) do |_|
      running << 1
      gate.pop
    end
    produce(topic, [[nil, "x"]])
    app.start
    take(running, 1)
    error = assert_raises(LibKarafka::TimeoutError) { app.stop(timeout: 0.1) }
    assert_includes error.message, topic
    again = assert_raises(LibKarafka::TimeoutError) { app.join }
    assert_equal error.message, again.message
  ensure
    gate << 1
  end

  def test_an_app_as_a_class
    orders, payments = new_topic, new_topic
    address = ADDRESS
    group = unique("group")
    seen = Queue.new
    consumer = Class.new(LibKarafka::BaseConsumer) do
      define_method(:consume) { messages.each { |message| seen << [topic, messages.group, message.payload] } }
    end
    app = Class.new(LibKarafka::App) do
      setup do |config|
        config.bootstrap_servers = address
        config.concurrency = 2
        config[:client_id] = "as-a-class"
      end
      routes.draw do
        consumer_group group do
          topic orders do
            consumer consumer
            virtual_partitions partitioner: ->(message) { message.key }
            max_messages 10
            manual_offset_management false
          end
        end
        topic(payments, virtual_partitions: { max: 5 }.fetch(:max), group: group) { |messages| seen << [topic, messages.group, messages.first.payload] }
      end
    end
    assert_equal [2, "as-a-class"], [app.config.concurrency, app.config.client_id]
    assert_equal 2, Class.new(app).config.concurrency
    produce(orders, [["k", "order"]])
    produce(payments, [["k", "payment"]])
    thread = Thread.new { app.run! }
    assert_equal [[orders, group, "order"], [payments, group, "payment"]].sort, take(seen, 2).sort
    app.stop!
    assert thread.join(PATIENCE)
  end
end
