# frozen_string_literal: true

# A fork's child can use nothing of its parent's, and everything that it makes itself.
class TestFork < KarafkaTest
  def test_handles_of_the_parent_refuse_to_work_and_new_ones_work
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic) { |messages| seen << messages }
    delivery = producer.produce_async(topic: topic, payload: "parent")
    producer.produce_sync(topic: topic, payload: "parent")
    app.start
    messages, = take(seen, 1)
    before = { app: app, producer: producer, delivery: delivery, messages: messages, broker: broker }
    assert_equal "done", in_child { use(before) }
    producer.produce_sync(topic: topic, payload: "still here")
    eventually("the parent's app") { !seen.empty? && seen.pop.payloads.include?("still here") }
    app.stop
  end

  def test_a_fork_inside_a_consumer_leaves_the_parents_job_alone
    topic = new_topic
    seen = Queue.new
    test = self
    app = new_app(concurrency: 1)
    app.topic(topic) do |messages|
      pid = fork
      # The child returns from here as the parent does; it ends with its thread.
      seen << test.wait_for(pid) if pid
      messages.payloads
    end
    produce(topic, [[nil, "1"]])
    app.start
    assert_equal [true], take(seen, 1)
    produce(topic, [[nil, "2"]])
    assert_equal [true], take(seen, 1)
  end

  # What the threads of the parent wait for in the core is nothing to the child's own threads, which are given their memory.
  def test_a_child_works_whose_parent_has_threads_that_wait_in_the_core
    away = LibKarafka::Producer.new(bootstrap_servers: "127.0.0.1:1", close_timeout: 0)
    waiting = Array.new(20) { Thread.new { away.produce_async(topic: "t", payload: "x").wait } }
    waiting.each { |thread| thread.report_on_exception = false }
    eventually("all wait") { away.in_flight == 20 && waiting.all? { |thread| thread.status == "sleep" } }
    3.times do |number|
      done = in_child do
        own = "embedded://child-#{number}"
        LibKarafka::EmbeddedBroker.named(own).create_topic("t")
        mine = LibKarafka::Producer.new(bootstrap_servers: own)
        threads = Array.new(20) { Thread.new { 5.times { mine.produce_sync(topic: "t", payload: "x") } } }
        threads.each(&:join)
        "done"
      end
      assert_equal "done", done
    end
  ensure
    waiting&.each(&:kill)
    begin
      away&.close
    rescue LibKarafka::Error
      nil
    end
  end

  def wait_for(pid)
    eventually("the child") { Process.waitpid2(pid, Process::WNOHANG) }.last.exited?
  end

  private

  def use(before)
    calls = [-> { before[:app].stop }, -> { before[:app].join }, -> { before[:app].phase }, -> { before[:app].resize(3) },
             -> { before[:producer].produce_async(topic: "t", payload: "x") }, -> { before[:producer].close },
             -> { before[:delivery].wait }, -> { before[:messages].first.mark(true) }, -> { before[:messages].commit(1) },
             -> { before[:broker].create_topic("t") }, -> { before[:app].subscribe { |event| event } },
             -> { before[:producer].subscribe { |event| event } }]
    calls.each { |call| assert_raises(LibKarafka::ForkedError, &call) }
    assert_equal "parent", before[:messages].first.payload
    before.clear
    GC.start
    own = "embedded://child"
    LibKarafka::EmbeddedBroker.named(own).create_topic("t")
    LibKarafka.producer = LibKarafka::Producer.new(bootstrap_servers: own)
    LibKarafka.producer.produce_sync(topic: "t", payload: "child")
    seen = Queue.new
    app = LibKarafka::App.new(bootstrap_servers: own, group_protocol: "consumer")
    app.topic("t") { |messages| seen << messages.payloads }
    app.start
    assert_equal [["child"]], take(seen, 1)
    app.stop
    "done"
  end

  # What the block returns in a child process, or how it failed.
  def in_child
    reader, writer = IO.pipe
    pid = fork do
      reader.close
      writer.write(yield)
    rescue Exception => e # rubocop:disable Lint/RescueException
      writer.write(e.full_message(highlight: false))
    ensure
      writer.close
      # Without at_exit: minitest would run the tests again.
      exit!(0)
    end
    writer.close
    deadline = Thread.new { sleep(PATIENCE) && Process.kill(:KILL, pid) }
    reader.read
  ensure
    deadline&.kill
    Process.waitpid(pid)
  end
end
