# frozen_string_literal: true

# What a consumer gets, and what becomes of it.
class TestConsume < KarafkaTest
  def test_messages_arrive_in_order_per_key_and_in_parallel
    topic = new_topic
    seen = Queue.new
    running = Queue.new
    most = 0
    app = new_app(concurrency: 8)
    app.topic(topic, virtual_partitions: :by_key, max_messages: 3) do |messages|
      running << 1
      most = [most, running.size].max
      sleep 0.01
      messages.each { |message| seen << [message.key, Integer(message.payload)] }
      running.pop
    end
    produce(topic, (0...200).map { |number| ["key-#{number % 10}", number.to_s] })
    app.start
    by_key = take(seen, 200).group_by(&:first)
    assert_equal 10, by_key.size
    by_key.each_value { |pairs| assert_equal pairs.map(&:last).sort, pairs.map(&:last) }
    assert_operator most, :>, 1
  end

  def test_a_message_shows_all_of_itself
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic) { |messages| messages.each { |message| seen << message } }
    time = Time.at(1_700_000_000, 123, :millisecond)
    headers = { "trace" => "abc", "tag" => %w[one two], "none" => nil }
    producer.produce_sync(topic: topic, payload: "päyload", key: "k", headers: headers, timestamp: time)
    producer.produce_sync(topic: topic, payload: nil, key: "k", timestamp: 1_700_000_000_456)
    producer.produce_sync(topic: topic, payload: "")
    app.start
    full, tombstone, empty = take(seen, 3)
    app.stop
    assert_equal ["päyload", "k", headers, 0, 0, topic],
                 [full.payload, full.key, full.headers, full.offset, full.partition, full.topic]
    assert_equal time, full.timestamp
    assert_equal Encoding::UTF_8, full.payload.encoding
    assert_same full.payload, full.payload
    refute_predicate full, :tombstone?
    assert_predicate tombstone, :tombstone?
    assert_equal Time.at(1_700_000_000, 456, :millisecond), tombstone.timestamp
    assert_equal ["", nil, {}], [empty.payload, empty.key, empty.headers]
    assert_equal "#<LibKarafka::Message #{topic}/0@0>", full.inspect
  end

  def test_messages_are_a_collection_and_columns
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic, linger: "1s", max_messages: 5) { |messages| seen << messages }
    produce(topic, (0...5).map { |number| ["key-#{number}", number.to_s] })
    app.start
    messages, = take(seen, 1)
    app.stop
    assert_equal [5, 5, false], [messages.size, messages.count, messages.empty?]
    assert_equal %w[0 1 2 3 4], messages.payloads
    assert_equal %w[0 1 2 3 4], messages.map(&:payload)
    assert_equal %w[key-0 key-1 key-2 key-3 key-4], messages.keys
    assert_equal [0, 1, 2, 3, 4], messages.offsets
    assert_equal [0, 4], [messages.first_offset, messages.last_offset]
    assert_equal ["0", "4", "4", "3"], [messages.first, messages.last, messages[-1], messages[3]].map(&:payload)
    assert_equal [%w[0 1], %w[3 4], %w[1 2]], [messages.first(2), messages.last(2), messages[1, 2]].map { |a| a.map(&:payload) }
    assert_nil messages[5]
    assert_same messages[2], messages.to_a[2]
    assert_raises(IndexError) { messages.headers_at(5) }
  end

  def test_marked_messages_are_not_consumed_again
    topic = new_topic
    group = unique("group")
    produce(topic, (0...10).map { |number| [nil, number.to_s] })
    marked = Queue.new
    app = new_app(group: group)
    app.topic(topic, manual_offset_management: true) do |messages|
      message = messages.find { |candidate| candidate.offset == 5 }
      marked << mark_as_consumed!(message) if message
    end
    app.start
    assert_equal [true], take(marked, 1)
    app.stop
    assert_equal (6..9).to_a, offsets_of(topic, group, 4)
  end

  def test_single_acknowledgements_survive_a_restart
    topic = new_topic
    group = unique("group")
    produce(topic, (0...10).map { |number| [nil, number.to_s] })
    done = Queue.new
    app = new_app(group: group)
    app.topic(topic, manual_offset_management: true, linger: "200ms") do |messages|
      messages.each { |message| acknowledge(message) if message.offset.even? }
      commit!
      done << messages.size
    end
    app.start
    eventually("every message") { take(done, 1).sum >= 10 || done.size.positive? }
    app.stop
    assert_equal [1, 3, 5, 7, 9], offsets_of(topic, group, 5)
  end

  def test_what_failed_is_tried_again_and_says_so
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic, retry_backoff: 10) do |messages|
      seen << [attempt, retrying?, messages.offsets]
      raise "not yet" if attempt < 3
    end
    produce(topic, [[nil, "a"]])
    app.start
    assert_equal [[1, false, [0]], [2, true, [0]], [3, true, [0]]], take(seen, 3)
  end

  def test_only_what_was_not_marked_is_tried_again
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic, retry_backoff: 10, linger: "200ms", max_messages: 4) do |messages|
      messages.each do |message|
        seen << [message.offset, attempt]
        raise "once" if message.offset == 2 && attempt == 1

        mark_as_consumed(message)
      end
    end
    produce(topic, (0...4).map { |number| [nil, number.to_s] })
    app.start
    offsets = take(seen, 5).map(&:first)
    assert_equal [0, 1, 2, 2, 3], offsets
  end

  def test_a_consumer_stays_with_its_partition_unless_keys_come_and_go
    consumer = Class.new(LibKarafka::BaseConsumer) do
      singleton_class.attr_accessor :seen
      def consume
        self.class.seen << [object_id, messages.virtual_partition, messages.keys.uniq]
      end
    end
    [[:off, 1], [4, 4], [:by_key, 12]].each do |split, objects|
      topic = new_topic
      consumer.seen = Queue.new
      app = new_app(concurrency: 4)
      app.topic(topic, consumer: consumer, virtual_partitions: split, max_messages: 1)
      produce(topic, (0...12).map { |number| ["key-#{number % 6}", number.to_s] })
      app.start
      seen = take(consumer.seen, 12)
      app.stop
      assert_operator seen.map(&:first).uniq.size, :<=, objects, split
      assert_equal 12, seen.map(&:first).uniq.size if split == :by_key
      next if split == :by_key

      seen.group_by { |_, part, _| part }.each_value { |calls| assert_equal 1, calls.map(&:first).uniq.size, split }
    end
  end

  def test_several_topics_and_groups_each_have_their_consumer
    first, second = new_topic, new_topic
    seen = Queue.new
    app = new_app
    app.topic(first) { |messages| seen << [:first, topic, messages.group, messages.payloads] }
    app.topic(second, group: "#{first}-other") { |messages| seen << [:second, topic, messages.group, messages.payloads] }
    produce(first, [[nil, "1"]])
    produce(second, [[nil, "2"]])
    app.start
    seen = take(seen, 2).sort
    assert_equal [[:first, first, ["1"]], [:second, second, ["2"]]], seen.map { |name, topic, _, payloads| [name, topic, payloads] }
    assert_equal "#{first}-other", seen.last[2]
  end

  def test_a_callback_names_the_virtual_partitions
    topic = new_topic
    seen = Queue.new
    app = new_app(concurrency: 4)
    app.topic(topic, virtual_partitions: ->(message) { Integer(message.payload) % 3 }) do |messages|
      messages.each { |message| seen << Integer(message.payload) }
      sleep 0.001
    end
    produce(topic, (0...60).map { |number| ["same", number.to_s] })
    app.start
    seen = take(seen, 60)
    seen.group_by { |number| number % 3 }.each_value { |numbers| assert_equal numbers.sort, numbers }
    refute_equal seen.sort, seen, "nothing ran side by side"
  end

  def test_an_error_in_the_callback_costs_parallelism_and_is_reported
    topic = new_topic
    seen = Queue.new
    events = Queue.new
    app = new_app(concurrency: 4)
    app.on_event { |event| events << event if event.urgent? }
    app.topic(topic, virtual_partitions: ->(_) { raise ArgumentError, "no key" }) do |messages|
      messages.each { |message| seen << Integer(message.payload) }
    end
    produce(topic, (0...20).map { |number| [number.to_s, number.to_s] })
    app.start
    assert_equal (0...20).to_a, take(seen, 20)
    event = eventually("the report") { events.empty? ? nil : events.pop }
    assert_includes event.to_s, "no key"
  end

  def test_a_topic_without_a_marked_owner_says_that_it_is_owned
    topic = new_topic
    seen = Queue.new
    app = new_app
    app.topic(topic) { |messages| seen << [revoked?, stopping?, mark_as_consumed(messages.first), partition] }
    produce(topic, [[nil, "a"]])
    app.start
    assert_equal [[false, false, true, 0]], take(seen, 1)
  end

  private

  # What another app of the group gets.
  def offsets_of(topic, group, count)
    seen = Queue.new
    app = new_app(group: group)
    app.topic(topic) { |messages| messages.offsets.each { |offset| seen << offset } }
    app.start
    take(seen, count).tap { app.stop }
  end
end
