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
    app.start
    produce(topic, (0...200).map { |number| ["key-#{number % 10}", number.to_s] })
    by_key = take(seen, 200).group_by(&:first)
    assert_equal 10, by_key.size
    by_key.each_value { |pairs| assert_equal pairs.map(&:last).sort, pairs.map(&:last) }
    assert_operator most, :>, 1
  end
end
