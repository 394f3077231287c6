# frozen_string_literal: true

# The garbage collector at the worst moments.
class TestGc < KarafkaTest
  def test_collections_at_every_allocation
    output, status, = run_ruby(<<~RUBY, seconds: 120)
      LibKarafka.embedded_broker("child").create_topic("t")
      producer = LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
      headers = { "one" => "1", "many" => %w[a b] }
      200.times.each_slice(50) do |numbers|
        producer.produce_many_sync(numbers.map { |n| { topic: "t", key: (n % 7).to_s, payload: "payload " + n.to_s, headers: headers } })
      end
      seen = Queue.new
      app = LibKarafka::App.new(bootstrap_servers: ADDRESS, concurrency: 4)
      app.on_event { |event| $stderr.puts event if event.urgent? }
      app.topic("t", virtual_partitions: ->(message) { message.key }, max_messages: 20) do |messages|
        messages.each { |m| seen << [m.key, m.payload, m.headers, m.timestamp.class, m.offset] }
        mark_as_consumed(messages.last)
        messages.payloads.size + messages.keys.size
      end
      app.start
      GC.stress = true
      all = Array.new(60) { seen.pop }
      # The rest without major collections, which are slow.
      GC.stress = 1
      all.concat(Array.new(140) { seen.pop })
      GC.stress = false
      app.stop
      raise "wrong" unless all.map { |_, payload,| payload.split.last.to_i }.sort == (0...200).to_a
      raise "wrong" unless all.all? { |key, payload, headers,| key == (payload.split.last.to_i % 7).to_s && headers == { "one" => "1", "many" => %w[a b] } }
      puts "fine"
    RUBY
    assert_equal "fine\n", output
    assert_predicate status, :success?
  end

  # In a process of its own: extensions of others may not survive a compaction.
  def test_compaction_moves_nothing_that_is_held
    output, status, = run_ruby(<<~RUBY, seconds: 60)
      LibKarafka.embedded_broker("child").create_topic("t")
      producer = LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
      seen = Queue.new
      app = LibKarafka::App.new(bootstrap_servers: ADDRESS, concurrency: 4)
      app.topic("t", virtual_partitions: ->(message) { message.key }) do |messages|
        messages.each { |message| seen << [message.key, message.payload, message] }
        sleep 0.001
      end
      app.start
      10.times do |round|
        producer.produce_many_sync((0...50).map { |n| { topic: "t", key: (n % 5).to_s, payload: [round, n].join(" ") } })
        GC.start
        GC.compact
      end
      all = Array.new(500) { seen.pop }
      GC.verify_compaction_references(double_heap: true, toward: :empty)
      raise "wrong" unless all.all? { |key, payload, message| [message.key, message.payload] == [key, payload] }
      raise "wrong" unless all.map { |_, payload, _| payload }.uniq.size == 500
      app.stop
      puts "fine"
    RUBY
    assert_equal "fine\n", output
    assert_predicate status, :success?
  end

  # What waits when it is freed is freed on a thread of its own, where the system gives one.
  def test_a_collection_without_threads_to_be_had
    output, status, = run_ruby(<<~RUBY)
      20.times { LibKarafka::EmbeddedBroker.named("embedded://\#{rand}") }
      Process.setrlimit(:AS, File.read("/proc/self/statm").to_i * 4096 + 200_000)
      GC.start
      begin
        Thread.new { nil }
        $stdout.syswrite("there are threads\n")
      rescue ThreadError
        $stdout.syswrite("fine\n")
      end
      exit!(0)
    RUBY
    assert_equal "fine\n", output
    assert_predicate status, :success?
  end

  def test_memory_of_messages_is_known_to_the_collector_and_given_back
    topic = new_topic
    count = Queue.new
    app = new_app
    app.topic(topic, max_messages: 10) { |messages| count << messages.size }
    produce(topic, Array.new(200) { [nil, "x" * 10_000] })
    app.start
    sum = 0
    eventually("200 messages") { (sum += take(count, 1).first) >= 200 }
    app.stop
    GC.start
    kept = ObjectSpace.each_object(LibKarafka::Messages).count
    assert_operator kept, :<, 20
  end

  # What the collector takes for alive on the stack of a thread that waits is marked by each collection, and its records stay with
  # the client.
  def test_a_waiting_worker_keeps_nothing_of_its_last_job
    output, status, = run_ruby(<<~RUBY, seconds: 60)
      LibKarafka.embedded_broker("child").create_topic("t")
      producer = LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
      seen, go_on = Queue.new, Queue.new
      app = LibKarafka::App.new(bootstrap_servers: ADDRESS, concurrency: 12)
      app.topic("t", virtual_partitions: :by_key) do |messages|
        messages.each { |message| message.payload.size + message.key.size }
        seen << true
        go_on.pop
      end
      producer.produce_many_sync((0...12).map { |n| { topic: "t", key: n.to_s, payload: "payload" } })
      app.start
      12.times { seen.pop }
      12.times { go_on << true }
      kept = 12
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 10
      while kept > 3 && Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline
        GC.start
        kept = ObjectSpace.each_object(LibKarafka::Messages).count
        sleep 0.01
      end
      puts kept > 3 ? "kept \#{kept}" : "fine"
      app.stop
    RUBY
    assert_equal "fine\n", output
    assert_predicate status, :success?
  end
end
