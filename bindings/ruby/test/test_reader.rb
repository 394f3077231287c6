# frozen_string_literal: true

# Reading without a group.
class TestReader < KarafkaTest
  def read(*topics, **options)
    LibKarafka::Reader.new(*topics, bootstrap_servers: ADDRESS, **options)
  end

  def filled(count, partitions: 1)
    topic = new_topic(partitions: partitions)
    producer.produce_many_sync((0...count).map { |n| { topic: topic, payload: n.to_s, partition: n % partitions } })
    topic
  end

  def test_it_reads_to_the_end_in_order_from_every_kind_of_place
    topic = filled(20)
    all = (0...20).map(&:to_s)
    { { from: :earliest } => all, { from: 15 } => all.last(5), { from: -3 } => all.last(3), { from: -100 } => all,
      { from: :latest } => [] }.each do |place, expected|
      assert_equal(expected, read(topic, **place).map(&:payload), place.inspect)
    end
    assert_equal all.first(2), read(topic).lazy.map(&:payload).first(2)
  end

  def test_partitions_can_have_places_of_their_own
    topic = filled(20, partitions: 2)
    other = filled(3)
    reader = read({ topic => { 0 => 8, 1 => -1 }, other => :earliest })
    found = reader.map { |message| [message.topic, message.partition, message.payload] }
    expected = [[topic, 0, "16"], [topic, 0, "18"], [topic, 1, "19"]] + %w[0 1 2].map { |text| [other, 0, text] }
    assert_equal expected.sort, found.sort
    assert_equal([true] * 3, reader.places.map(&:done?))
    place = reader.places.find { |one| one.topic == topic && one.partition.zero? }
    assert_equal [8, 10, 10], [place.start, place.next_offset, place.end_offset]
    assert_equal(%w[1 3], read(topic, partitions: [1]).first(2).map(&:payload))
  end

  def test_batches_are_messages_that_nobody_owns
    topic = filled(5)
    LibKarafka::Reader.open(topic, bootstrap_servers: ADDRESS) do |reader|
      messages = reader.read
      assert_equal [topic, 0, 1], [messages.topic, messages.partition, messages.first.attempt]
      assert_raises(LibKarafka::UnsupportedError) { messages.revoked? }
      assert_raises(LibKarafka::UnsupportedError) { messages.first.mark(true) }
      reader.each_batch { |more| messages.size.zero? ? flunk : more.to_a }
      assert_nil reader.read
    end
  end

  def test_forever_waits_for_what_comes_and_is_interrupted_at_once
    topic = filled(1)
    reader = read(topic, until: "forever")
    got = Queue.new
    thread = Thread.new { reader.each { |message| got << message.payload } }
    thread.report_on_exception = false
    eventually("a message") { !got.empty? }
    assert_equal "0", got.pop
    produce(topic, [["k", "later"]])
    eventually("another message") { !got.empty? }
    assert_equal "later", got.pop
    assert_raises(LibKarafka::StoppedError) { reader.read }
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    thread.kill.join
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - began, :<, 1
    assert_raises(LibKarafka::TimeoutError) { reader.read(timeout: 0.01) }
    produce(topic, [["k", "more"]])
    assert_equal ["more"], reader.read.payloads
    reader.close
    reader.close
    assert_raises(LibKarafka::StoppedError) { reader.read }
  end

  def test_a_partition_can_be_left
    topic = filled(4, partitions: 2)
    reader = read(topic)
    assert reader.stop_partition(topic, 0)
    refute reader.stop_partition(topic, 0)
    assert_equal(%w[1 3], reader.map(&:payload))
  end

  def test_what_cannot_be_read_is_refused
    topic = filled(1)
    assert_raises(LibKarafka::ConfigError) { read }
    assert_raises(LibKarafka::ConfigError) { read(topic, from: 7) }
    assert_raises(LibKarafka::ConfigError) { read(topic, partitions: [9]) }
    assert_raises(LibKarafka::ConfigError) { read(topic, concurrency: 1) }
    assert_raises(LibKarafka::UnsupportedError) { read(topic, from: Time.now) }
    assert_raises(ArgumentError) { read(topic, from: :middle) }
    assert_raises(LibKarafka::TimeoutError, LibKarafka::BrokerError) do
      LibKarafka::Reader.new(topic, bootstrap_servers: "127.0.0.1:1", timeout: "200ms")
    end
  end
end
