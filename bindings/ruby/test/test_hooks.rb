# frozen_string_literal: true

# What a class of consumers is called for beside its messages.
class TestHooks < KarafkaTest
  # Notes its calls in a queue: the name, the object and what it says.
  def hearing(seen, *hooks, initialized: true, &consume)
    Class.new(LibKarafka::BaseConsumer) do
      hooks.each { |hook| define_method(hook) { seen << [hook, self, messages.size, eofed?, used?, revoked?] } }
      define_method(:initialized) { seen << [:initialized, self, topic, partition] } if initialized
      define_method(:consume) do
        instance_exec(&consume) if consume
        seen << [:consume, self, messages.size, eofed?, used?, revoked?]
      end
    end
  end

  def drain(queue)
    Array.new(queue.size) { queue.pop }
  end

  def test_one_object_hears_everything_in_order_and_the_shutdown_once
    topic = new_topic
    seen = Queue.new
    app = new_app
    consumer = hearing(seen, :tick, :eofed, :revoked, :shutdown)
    app.topic(topic, consumer: consumer, eofed: true, periodic: { interval: 50 })
    app.start
    list = []
    eventually("an end and a tick") { ((list += drain(seen)).map(&:first) & %i[eofed tick]).size == 2 }
    produce(topic, [%w[k 0]])
    eventually("ticks after a call") { (list += drain(seen)).map(&:first).each_cons(2).include?(%i[consume tick]) }
    app.stop
    list += drain(seen)
    assert_equal [:shutdown, 0, false, true, false], list.last.values_at(0, 2, 3, 4, 5)
    assert_equal 1, list.count { |name,| name == :shutdown }
    refute_includes list.map(&:first), :revoked
    assert_equal 1, list.count { |name,| name == :initialized }
    assert_equal 1, list.map { |call| call[1] }.uniq.size
  end

  def test_without_lasting_virtual_partitions_each_call_has_an_object
    topic = new_topic
    produce(topic, [%w[k 0]])
    seen = Queue.new
    app = new_app
    app.topic(topic, consumer: hearing(seen, :shutdown), virtual_partitions: :by_key)
    app.start
    assert_equal %i[initialized consume], take(seen, 2).map(&:first)
    app.stop
    assert_equal %i[initialized shutdown], take(seen, 2).map(&:first)
  end

  def test_a_failing_hook_is_an_event_and_a_failing_beginning_is_a_failure_of_the_call
    topic = new_topic
    produce(topic, [%w[k 0]])
    seen = Queue.new
    events = Queue.new
    consumer = hearing(seen, initialized: false)
    beginnings = 0
    consumer.define_method(:initialized) do
      beginnings += 1
      raise "not yet" if beginnings == 1
    end
    consumer.define_method(:tick) { raise ArgumentError, "always" }
    app = new_app
    app.topic(topic, consumer: consumer, retry_backoff: 10, periodic: { interval: 100 })
    app.subscribe("consumer.tick.error", "consumer.consume.error") { |event| events << [event.name, event[:error_class]] }
    app.start
    assert_equal :consume, take(seen, 1).first.first
    failed = []
    eventually("a tick that failed") { (failed += drain(events)).include?(["consumer.tick.error", "ArgumentError"]) }
    # A tick may have been the first call.
    assert_equal 1, failed.count { |_, kind| kind == "RuntimeError" }
    assert_equal 2, beginnings
  end

  def test_who_loses_a_partition_hears_of_it_in_its_object_and_marks_there
    topic = new_topic(partitions: 2)
    group = unique("group")
    seen = Queue.new
    consumer = hearing(seen, initialized: false) { @last = messages.last }
    consumer.define_method(:revoked) { seen << [:revoked, self, mark_as_consumed(@last), partition] }
    first = new_app(group: group)
    first.topic(topic, consumer: consumer, manual_offset_management: true)
    first.start
    2.times { |partition| produce(topic, [["k", "0"]], partition: partition) }
    objects = take(seen, 2).to_h { |call| [call[1], call] }
    second = new_app(group: group)
    again = Queue.new
    second.topic(topic) { |messages| again << messages.partition }
    second.start
    _, object, owned, partition = take(seen, 1).first
    assert_includes objects, object
    assert owned
    produce(topic, [["k", "1"]], partition: partition)
    assert_equal partition, take(again, 1).first
    assert_empty again
  end

  def test_a_hook_that_ends_the_program_is_not_called_again
    topic = new_topic
    produce(topic, [%w[k 0]])
    seen = Queue.new
    consumer = hearing(seen, initialized: false)
    consumer.define_method(:shutdown) do
      seen << [:shutdown]
      exit 7
    end
    app = new_app
    app.topic(topic, consumer: consumer)
    app.start
    take(seen, 1)
    assert_equal 7, assert_raises(SystemExit) { app.stop }.status
    assert_equal 1, seen.size
  end
end
