# frozen_string_literal: true

# What a consumer does to the position of its partition.
class TestPosition < KarafkaTest
  def consuming(topic, seen, **options, &block)
    consumer = Class.new(LibKarafka::BaseConsumer) do
      define_method(:consume) { seen << instance_exec(&block) }
    end
    new_app(commit_interval: 20).tap do |app|
      app.topic(topic, consumer: consumer, retry_backoff: 10, **options)
      app.start
    end
  end

  def test_it_seeks_forwards_backwards_and_refuses_what_is_no_place
    topic = new_topic
    produce(topic, (0...6).map { |number| ["k", number.to_s] })
    seen = Queue.new
    sought = []
    consuming(topic, seen, max_messages: 1) do
      offset = messages.first_offset
      if offset == 1 && sought.empty?
        errors = [-3, Time.now].map do |target|
          seek(target)
        rescue LibKarafka::Error => e
          e.kind
        end
        sought << errors << seek(4)
      elsif offset == 5 && sought.size == 2
        sought << seek(:earliest)
      end
      offset
    end.then { assert_equal [0, 1, 4, 5, 0, 1, 2], take(seen, 7) }
    assert_equal [%i[config unsupported], true, true], sought
  end

  def test_it_pauses_and_what_was_not_marked_comes_again
    topic = new_topic
    produce(topic, (0...3).map { |number| ["k", number.to_s] })
    seen = Queue.new
    pauses = [0.3]
    consuming(topic, seen, max_messages: 1) do
      pause(pauses.pop) if messages.first_offset == 1 && pauses.any?
      [messages.first_offset, Process.clock_gettime(Process::CLOCK_MONOTONIC)]
    end
    offsets, times = take(seen, 4).transpose
    assert_equal [0, 1, 1, 2], offsets
    assert_operator times[2] - times[1], :>=, 0.29
  end

  def test_a_text_travels_with_the_offset_and_false_says_that_it_is_lost
    topic = new_topic
    produce(topic, [%w[k 0]])
    seen = Queue.new
    app = consuming(topic, seen, manual_offset_management: true) do
      [self, offset_metadata, mark_as_consumed!(messages.first, "page 7"), offset_metadata, commit_offsets]
    end
    consumer, *facts = take(seen, 1).first
    assert_equal ["", true, "page 7", true], facts
    assert_kind_of LibKarafka::BaseConsumer, consumer
    app.stop
  end

  def test_each_marks_one_by_one_and_metadata_tells_sizes_and_lags
    topic = new_topic
    produce(topic, (0...4).map { |number| ["key", "value#{number}"] })
    handled = Queue.new
    seen = Queue.new
    consuming(topic, seen, max_bytes: 18, max_messages: 4, linger: 200) do
      each do |message|
        handled << [message.offset, attempt]
        raise "not yet" if message.offset == 1 && attempt < 3
      end
      messages.metadata
    end
    calls = take(seen, 2)
    assert_equal [0, 1, 1, 1, 2, 3], take(handled, 6).map(&:first)
    last = calls.last
    assert_equal [3, 3, 1, 9, 0], [last.first_offset, last.last_offset, last.size, last.bytes, last.offset_lag]
    assert_operator last.consumption_lag, :<, PATIENCE
    assert_operator last.created_at, :<=, last.scheduled_at + 1
  end
end
