# frozen_string_literal: true

class TestProducer < KarafkaTest
  def test_every_way_of_producing_arrives
    topic = new_topic
    delivery = producer.produce_async(topic: topic, payload: "1")
    report = delivery.wait(timeout: PATIENCE)
    assert_equal [0, 0], [report.partition, report.offset]
    assert_predicate delivery, :done?
    assert_equal report, delivery.wait
    assert_kind_of Time, report.timestamp
    assert_equal 1, producer.produce_sync(topic: topic.to_sym, payload: "2", key: "k").offset
    reports = producer.produce_many_sync([{ topic: topic, payload: "3" }, { topic: topic, payload: nil, partition: 0 }])
    assert_equal [2, 3], reports.map(&:offset).sort
    assert_equal 2, producer.produce_many_async(Array.new(2) { { topic: topic, payload: "4" } }).size
    assert_equal 0, producer.flush
    assert_equal 0, producer.in_flight
  end

  def test_many_deliveries_are_in_the_order_of_their_messages
    topic = new_topic
    messages = Array.new(700) { |n| { topic: topic, payload: n.to_s, key: (n.even? ? "k" : nil) } }
    messages[300] = { topic: topic, payload: nil, headers: { "h" => "v" } }
    messages[301] = { topic: topic.to_sym, payload: "symbol" }
    deliveries = producer.produce_many_async(messages)
    assert_equal (0...700).to_a, deliveries.wait(timeout: PATIENCE).map(&:offset)
    assert_equal [700, 699, 3], [deliveries.size, deliveries[-1].wait.offset, deliveries.first(3).size]
    assert_nil deliveries[700]
    assert_nil deliveries[-701]
    assert_equal topic, deliveries[5].topic
    assert_empty producer.produce_many_async([])
    assert_raises(TypeError) { producer.produce_many_async([{ topic: topic, payload: "sent" }, 5]) }
    assert_raises(TypeError, ArgumentError) { producer.produce_many_async([{ topic: topic, payload: 5 }]) }
    assert_equal 0, producer.flush
    assert_equal 701, producer.produce_sync(topic: topic, payload: "the one before the refused was sent").offset
  end

  def test_many_threads_produce_at_once
    topic = new_topic
    threads = Array.new(10) { Thread.new { Array.new(50) { producer.produce_async(topic: topic, payload: "x") }.map(&:wait) } }
    offsets = threads.flat_map { |thread| thread.value.map(&:offset) }
    assert_equal (0...500).to_a, offsets.sort
  end

  def test_waiting_does_not_hold_other_threads_up_and_can_be_interrupted
    unreachable = LibKarafka::Producer.new(bootstrap_servers: "127.0.0.1:1", close_timeout: 0)
    delivery = unreachable.produce_async(topic: "nowhere", payload: "x")
    assert_raises(LibKarafka::TimeoutError) { delivery.wait(timeout: 0.05) }
    assert_raises(Timeout::Error) { Timeout.timeout(0.05) { delivery.wait } }
    waiting = Thread.new { delivery.wait }
    eventually("the wait") { waiting.status == "sleep" || waiting.stop? }
    waiting.kill
    assert waiting.join(5)
    refute_predicate delivery, :done?
  ensure
    assert_raises(LibKarafka::TimeoutError) { unreachable.close }
    assert_raises(LibKarafka::Error) { delivery.wait(timeout: PATIENCE) }
  end

  def test_a_full_queue_is_waited_for_without_holding_other_threads_up
    full = LibKarafka::Producer.new(bootstrap_servers: "127.0.0.1:1", close_timeout: 0, queue_full_timeout: "300ms",
                                    kafka: { "queue.buffering.max.messages" => 1 })
    full.produce_async(topic: "nowhere", payload: "x")
    turns = 0
    counting = Thread.new { loop { (turns += 1) && sleep(0.001) } }
    error = assert_raises(LibKarafka::QueueFullError) { full.produce_async(topic: "nowhere", payload: "x") }
    assert_predicate error, :retriable?
    assert_operator turns, :>, 10
  ensure
    counting&.kill
    assert_raises(LibKarafka::TimeoutError) { full.close }
  end

  def test_wrong_values_are_refused
    topic = new_topic
    assert_raises(TypeError) { producer.produce_async(topic: topic, payload: 5) }
    assert_raises(TypeError) { producer.produce_async(topic: topic, payload: "x", headers: { "a" => 1 }) }
    assert_raises(TypeError) { producer.produce_async(topic: topic, payload: "x", headers: "a") }
    [[["a", 1]], [["a"]], ["a"], [nil]].each do |headers|
      assert_raises(TypeError, headers.inspect) { producer.produce_async(topic: topic, payload: "x", headers: headers) }
    end
    assert_raises(TypeError) { producer.produce_async(topic: topic, payload: "x", partition: "one") }
    assert_raises(ArgumentError) { producer.produce_async(topic: topic) }
    assert_raises(LibKarafka::Error) { producer.produce_sync(topic: "", payload: "x") }
    assert_raises(LibKarafka::Error) { producer.produce_sync(topic: topic, payload: "x" * 2_000_000) }
    assert_raises(LibKarafka::ConfigError) { LibKarafka::Producer.new(acks: "some") }
    assert_raises(LibKarafka::ConfigError) { producer.produce_async(topic: topic, payload: "x").wait(timeout: -1) }
  end

  def test_use_after_close_is_an_error_and_closing_twice_is_none
    own = LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
    own.close
    own.close
    assert_raises(LibKarafka::StoppedError) { own.produce_async(topic: "x", payload: "x") }
  end

  def test_the_producer_of_the_process_finds_the_brokers_of_the_first_app
    code = <<~RUBY
      begin
        LibKarafka.producer
      rescue LibKarafka::ConfigError
        puts "no app"
      end
      class Orders < LibKarafka::App
        setup do |config|
          config.bootstrap_servers = ADDRESS
          config.producer = { linger: 1, client_id: "mine" }
        end
      end
      LibKarafka::App.new(bootstrap_servers: "127.0.0.1:1")
      p LibKarafka.producer.produce_sync(topic: "t", payload: "x").offset
      p LibKarafka.producer.equal?(LibKarafka.producer)
      LibKarafka.producer.produce_async(topic: "t", payload: "the end of the process delivers it")
    RUBY
    output, status, = run_ruby(code)
    assert_equal "no app\n0\ntrue\n", output
    assert_predicate status, :success?
  end
end
