# frozen_string_literal: true

require "json"

# Tasks that run at the times of a cron pattern, in one member of a group.
class TestRecurring < KarafkaTest
  def test_tasks_run_at_their_times_and_on_command
    topic, log = new_topic, new_topic
    runs = Queue.new
    app = new_app
    tasks = app.recurring_tasks(topic, interval: "50ms", log_topic: log)
    tasks.task("often", "* * * * * *") { |run| runs << [run.task, run.scheduled, Time.now, run.should_end?] }
    tasks.task(:rare, "0 0 29 2 *") { |run| runs << [run.task, run.scheduled] }
    tasks.task("exits", "@yearly") { exit }
    failed = Queue.new
    app.subscribe("recurring_tasks.error") { |event| failed << event }
    app.start

    often = take(runs, 2)
    often.each do |task, scheduled, now, ending|
      assert_equal ["often", 0, false], [task, scheduled.nsec, ending]
      assert_operator now, :>=, scheduled
    end
    producer.disable_task(topic, "often")
    producer.trigger_task(topic, :rare)
    rare = nil
    rare = take(runs, 1).first until rare&.first == "rare"
    assert_nil rare.last
    producer.trigger_task(topic, "exits")
    event = take(failed, 1).first
    assert_equal [topic, "exits", "SystemExit"], event.fields.values_at(:topic, :task, :error_class)
    app.stop
    assert_empty runs, "it runs although it is disabled"
    lines = LibKarafka::Reader.open(log, bootstrap_servers: ADDRESS) { |reader| reader.map { |message| JSON.parse(message.payload) } }
    assert_includes lines.map { |line| line.values_at("task", "succeeded") }, ["exits", false]
  end

  def test_a_task_that_runs_hears_that_it_should_end
    topic = new_topic
    running, ended = Queue.new, Queue.new
    app = new_app
    app.recurring_tasks(topic, interval: "50ms").task("long", "* * * * * *") do |run|
      running << run.should_end?
      sleep 0.01 until run.should_end?
      ended << run.task
    end
    app.start
    assert_equal [false], take(running, 1)
    app.stop
    assert_equal ["long"], take(ended, 1)
  end

  def test_mistakes_are_told_at_once
    app = new_app
    error = assert_raises(LibKarafka::ConfigError) { app.recurring_tasks(new_topic, intervall: 1) }
    assert_includes error.message, "`catch_up`"
    tasks = app.recurring_tasks(new_topic)
    error = assert_raises(LibKarafka::ConfigError) { tasks.task("a", "0 25 * * *") { nil } }
    assert_includes error.message, "\"25\" is no hour"
    assert_raises(ArgumentError) { tasks.task("a", "@daily") }
    assert_raises(LibKarafka::ConfigError) { producer.trigger_task(new_topic, "") }
  end
end
