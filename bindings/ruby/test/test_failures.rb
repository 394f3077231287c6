# frozen_string_literal: true

# What is to happen with messages that fail, by classes of exceptions and by a strategy.
class TestFailures < KarafkaTest
  class Broken < StandardError; end
  class Passing < StandardError; end

  # Handles the payloads until an event of this name came; gives the event and the attempts at each payload.
  def run_until(event, payloads, fails:, **options)
    topic = new_topic
    told = Queue.new
    attempts = Hash.new { |all, payload| all[payload] = [] }
    app = new_app
    app.subscribe(event) { |found| told << found }
    app.topic(topic, retry_backoff: 1, retry_backoff_max: 5, **options) do |messages|
      messages.each do |message|
        attempts[message.payload] << message.attempt
        raise "retrying?" unless message.retrying? == (message.attempt > 1)
      end
      raise Broken, "again" if messages.any? { |message| message.payload == fails }
    end
    produce(topic, payloads.map { |payload| ["key", payload] })
    app.start
    found = take(told, 1).first
    app.stop
    [found, attempts]
  end

  def test_a_message_counts_as_done_for_an_exception_that_is_discarded
    event, attempts = run_until("message.discarded", %w[good bad], fails: "bad", discard_on: [Broken])
    assert_equal 1, event[:offset]
    assert_operator attempts["bad"].size, :<=, 2
  end

  def test_exceptions_that_are_not_to_be_retried_go_to_the_dead_letters_at_once
    dead = new_topic
    _, attempts = run_until("dead_letter_queue.dispatched", %w[bad], fails: "bad", retry_on: Passing,
                                                                  dead_letter_queue_topic: dead)
    assert_equal({ "bad" => [1] }, attempts)
  end

  def test_attempts_are_exactly_one_more_than_retries
    group = { topic: new_topic, max_retries: 2 }
    event, attempts = run_until("dead_letter_queue.dispatched", %w[bad], fails: "bad", dead_letter_queue: group)
    assert_equal({ "bad" => [1, 2, 3] }, attempts)
    assert_equal 3, event[:attempts]
  end

  def test_a_strategy_sees_the_message_its_exception_and_earlier_ones
    seen = []
    strategy = lambda do |message, exception, earlier|
      seen << [message.payload, exception.class, earlier]
      earlier.size < 2 ? :retry : :skip
    end
    run_until("message.discarded", %w[bad], fails: "bad", dead_letter_queue: { topic: new_topic, strategy: strategy })
    assert_equal (0..2).map { |size| ["bad", Broken, [["TestFailures::Broken", "again"]] * size] }, seen
  end

  def test_a_strategy_names_a_topic
    elsewhere = new_topic
    strategy = ->(_message, _exception, _earlier) { [:dispatch, elsewhere] }
    event, = run_until("dead_letter_queue.dispatched", %w[bad], fails: "bad",
                                                               dead_letter_queue: { topic: new_topic, strategy: strategy })
    assert_equal elsewhere, event[:dead_letter_topic]
  end

  def test_what_is_no_class_is_refused
    assert_raises(LibKarafka::ConfigError) { new_app.topic("orders", discard_on: 3) { nil } }
  end
end
