# frozen_string_literal: true

# Messages that wait in a topic until their time.
class TestScheduled < KarafkaTest
  def test_a_message_comes_at_its_time_unless_it_is_cancelled
    later, reminders = new_topic(partitions: 2), new_topic
    came = Queue.new
    app = new_app
    app.topic(reminders) { |messages| messages.each { |message| came << [message.payload, message.key, message.headers, Time.now] } }
    app.scheduled_messages(later, interval: "50ms")
    app.start
    at = Time.now + 0.5
    cancelled = producer.schedule(later, at: Time.now + 0.4, topic: reminders, payload: "cancelled")
    producer.cancel(later, cancelled)
    producer.schedule(later, at: at, topic: reminders, payload: "tea", key: "ada", headers: { "cup" => "1" })
    producer.schedule(later, at: (Time.now.to_f * 1000).to_i - 60_000, topic: reminders, payload: nil, key: "gone")

    gone, tea = take(came, 2)
    assert_equal [nil, "gone"], gone.first(2)
    assert_equal ["tea", "ada", { "cup" => "1" }], tea.first(3)
    assert_operator tea.last, :>=, at
    app.stop
    assert_empty came
  end

  def test_mistakes_are_told_at_once
    later = new_topic
    assert_raises(LibKarafka::ConfigError) { producer.schedule(later, at: 1_700_000_000, topic: "t", payload: "x") }
    assert_raises(LibKarafka::ConfigError) { producer.schedule(later, at: Time.now, topic: later, payload: "x") }
    assert_raises(LibKarafka::ConfigError) { producer.cancel(later, "nonsense") }
    error = assert_raises(LibKarafka::ConfigError) { new_app.scheduled_messages(later, intervall: 1) }
    assert_includes error.message, "`interval` and `group`"
  end
end
