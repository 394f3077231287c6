# frozen_string_literal: true

# Buffer, middleware, partitioner, partition keys, labels, variants, events, and the producer for tests.
class TestProducing < KarafkaTest
  def test_a_testing_producer_keeps_what_it_is_given
    testing = LibKarafka::Producer.testing(partitions: 3)
    report = testing.produce_sync(topic: "t", payload: "x", key: "k", headers: { "a" => %w[1 2] }, label: :first)
    assert_equal [0, true], [report.offset, (0...3).cover?(report.partition)]
    testing.produce_many_sync([{ topic: "t", payload: nil, key: "k" }])
    first, second = testing.recorded
    assert_equal ["t", "x", "k", [%w[a 1], %w[a 2]], "first"], first.values_at(:topic, :payload, :key, :headers, :label)
    assert_equal [nil, 1, report.partition], second.values_at(:payload, :offset, :partition)
    testing.clear_recorded
    assert_empty testing.recorded
    testing.fail_next(:queue_full, "planted")
    error = assert_raises(LibKarafka::QueueFullError) { testing.produce_async(topic: "t", payload: "x") }
    assert_includes error.message, "planted"
    assert_raises(ArgumentError) { testing.fail_next(:no_such_kind) }
    testing.close
    assert_raises(LibKarafka::UnsupportedError) { producer.recorded }
  end

  def test_the_buffer_is_flushed_in_order_and_keeps_what_failed
    testing = LibKarafka::Producer.testing
    testing.buffer(topic: "b", payload: "0")
    testing.buffer_many([{ topic: "b", payload: "1" }, { topic: "b", payload: "2" }])
    assert_raises(LibKarafka::ConfigError) { testing.buffer(topic: "b", payload: "x", timestamp: 0) }
    testing.fail_next(:queue_full)
    assert_raises(LibKarafka::QueueFullError) { testing.flush_buffer_async }
    assert_equal 3, testing.buffered
    assert_equal [0, 1, 2], testing.flush_buffer_sync.map(&:offset)
    assert_equal(%w[0 1 2], testing.recorded.map { |message| message[:payload] })
    testing.buffer(topic: "b", payload: "3")
    assert_equal 1, testing.clear_buffer
  end

  def test_hooks_that_cannot_be_called_are_refused_at_once
    [{ partitioner: 3 }, { middleware: [->(message) { message }, nil] }, { middleware: 5 }].each do |hooks|
      assert_raises(LibKarafka::ConfigError) { LibKarafka::Producer.testing(**hooks) }
    end
  end

  def test_middleware_comes_before_the_partitioner
    stamp = ->(message) { message.merge(headers: { "stamp" => "1" }) }
    refuse = ->(message) { message[:payload] == "no" ? raise(ArgumentError, "refused") : message }
    last = ->(message, partitions) { message[:headers] ? partitions - 1 : 0 }
    testing = LibKarafka::Producer.testing(partitions: 4, middleware: [stamp, refuse], partitioner: last)
    assert_equal 3, testing.produce_sync(topic: "m", payload: "x").partition
    assert_equal 1, testing.produce_sync(topic: "m", payload: "x", partition: 1).partition
    assert_raises(ArgumentError) { testing.produce_async(topic: "m", payload: "no") }
    testing.buffer(topic: "m", payload: "y")
    assert_equal [3], testing.flush_buffer_sync.map(&:partition)
    assert(testing.recorded.all? { |message| message[:headers] == [%w[stamp 1]] })
  end

  def test_a_partition_key_takes_the_place_of_the_key
    topic = new_topic(partitions: 8)
    assert_equal 8, producer.partitions(topic)
    %w[a b customer-17].each do |key|
      expected = producer.produce_sync(topic: topic, payload: "x", key: key).partition
      assert_equal expected, producer.produce_sync(topic: topic, payload: "x", key: "other", partition_key: key).partition
      report, = producer.produce_many_sync([{ topic: topic, payload: "x", partition_key: key }])
      assert_equal expected, report.partition
    end
  end

  def test_labels_stay_with_the_delivery_and_its_error
    delivery = producer.produce_async(topic: new_topic, payload: "x", label: "mine")
    assert_equal "mine", delivery.label
    delivery.wait
    lost = LibKarafka::Producer.new(bootstrap_servers: "127.0.0.1:1", close_timeout: 0)
    delivery = lost.produce_async(topic: "nowhere", payload: "x", label: "order 7")
    error = assert_raises(LibKarafka::TimeoutError) { lost.close }
    assert_includes error.message, "order 7"
    error = assert_raises(LibKarafka::StoppedError) { delivery.wait }
    assert_includes error.message, "order 7"
  end

  def test_a_variant_has_its_own_options_and_closes_with_its_producer
    topic = new_topic
    own = LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
    quick = own.with(acks: "1", idempotence: false)
    quick.produce_sync(topic: topic, payload: "x")
    assert_raises(LibKarafka::ConfigError) { own.with(acks: "most") }
    own.close
    assert_raises(LibKarafka::StoppedError) { quick.produce_async(topic: topic, payload: "x") }
  end

  def test_events_tell_the_way_of_each_message
    topic = new_topic
    own = LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
    events = Queue.new
    own.subscribe("message.*", "producer.*") { |event| events << event }
    own.produce_sync(topic: topic, payload: "secret", label: "mine")
    own.close
    told = Array.new(events.size) { events.pop }
    assert_equal %w[message.acknowledged message.produced_async producer.closed], told.map(&:name).sort
    assert_equal "mine", told.find { |event| event.name == "message.acknowledged" }[:label]
    refute_includes told.map(&:to_s).join, "secret"
    assert_raises(LibKarafka::ConfigError) { producer.subscribe("message.sent") { nil } }
  end

  def test_a_child_opens_its_parents_producer_again
    topic = new_topic
    own = LibKarafka::Producer.new(bootstrap_servers: broker.bootstrap_servers)
    own.produce_sync(topic: topic, payload: "parent")
    reader, writer = IO.pipe
    child = fork do
      refused = begin
        own.produce_async(topic: topic, payload: "x")
        "allowed"
      rescue LibKarafka::ForkedError
        "refused"
      end
      own.reopen
      writer.puts "#{refused} #{own.produce_sync(topic: topic, payload: "child").offset}"
      own.close
      exit!(0)
    end
    # Or a child that died without a word would be waited for for ever.
    writer.close
    Process.wait(child)
    assert_equal "refused 1", reader.gets&.chomp
    assert_equal 2, own.produce_sync(topic: topic, payload: "parent again").offset
  ensure
    own&.close
  end

  def test_wrong_messages_are_refused
    assert_raises(ArgumentError) { producer.produce_many_async([{ topic: "t" }]) }
    error = assert_raises(ArgumentError) { producer.produce_many_async([{ topic: "t", payload: "x", paylod: "y" }]) }
    assert_includes error.message, "paylod"
    error = assert_raises(LibKarafka::ConfigError) { producer.produce_async(topic: "t", payload: "x", timestamp: 0) }
    assert_includes error.message, "timestamp of 0"
  end
end
