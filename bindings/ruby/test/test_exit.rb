# frozen_string_literal: true

# How a process with an app ends.
class TestExit < KarafkaTest
  APP = <<~RUBY
    LibKarafka.embedded_broker("child").create_topic("t")
    app = LibKarafka::App.new(bootstrap_servers: ADDRESS, concurrency: 10)
    LibKarafka::Producer.new(bootstrap_servers: ADDRESS).produce_sync(topic: "t", payload: "x")
  RUBY

  def test_ending_with_idle_workers
    output, status, seconds = run_ruby(APP + <<~RUBY)
      done = Queue.new
      app.topic("t") { |_| done << 1 }
      at_exit { puts "at_exit" }
      app.start
      done.pop
    RUBY
    assert_equal "at_exit\n", output
    assert_predicate status, :success?
    assert_operator seconds, :<, 5
  end

  def test_ending_with_blocked_workers
    output, status, seconds = run_ruby(APP + <<~RUBY)
      running = Queue.new
      app.topic("t") { |_| running << 1; sleep }
      app.start
      running.pop
      exit 7
    RUBY
    assert_equal 7, status.exitstatus, output
    assert_operator seconds, :<, 10
  end

  def test_ending_at_once_with_exit_bang
    _, status, seconds = run_ruby(APP + 'app.topic("t") { |_| sleep }; app.start; exit! 4')
    assert_equal 4, status.exitstatus
    assert_operator seconds, :<, 5
  end

  def test_ctrl_c_stops_gracefully_and_is_raised_by_run
    code = APP + <<~RUBY
      app.topic("t") { |_| puts "running"; sleep 0.3; puts "finished" }
      app.subscribe("app.stopped") { |_| puts "stopped" }
      begin
        app.run
      rescue Interrupt
        puts "Interrupt"
      end
    RUBY
    output, status, = run_ruby(code) { |pid, so_far| signal(pid, so_far, :INT, "running") }
    assert_equal %w[running finished stopped Interrupt], output.split
    assert_predicate status, :success?
  end

  def test_the_end_waits_for_who_closes_a_producer
    code = <<~RUBY
      away = LibKarafka::Producer.new(bootstrap_servers: "127.0.0.1:1", close_timeout: "1s")
      away.produce_async(topic: "t", payload: "x", label: "order 7")
      Thread.report_on_exception = false
      Thread.new { away.close }
      Thread.pass until Thread.list.any? { |thread| thread != Thread.main && thread.status == "sleep" }
    RUBY
    output, = run_ruby(code)
    assert_includes output, "order 7"
  end

  def test_run_bang_ends_a_program_on_sigterm
    code = <<~RUBY
      LibKarafka.embedded_broker("child").create_topic("t")
      LibKarafka::Producer.new(bootstrap_servers: ADDRESS).produce_sync(topic: "t", payload: "x")
      class Program < LibKarafka::App
        setup { |config| config.bootstrap_servers = ADDRESS }
        routes.draw { topic("t") { |_| puts "running"; sleep 0.2; puts "finished" } }
      end
      Program.run!
      puts "ended"
    RUBY
    output, status, = run_ruby(code) { |pid, so_far| signal(pid, so_far, :TERM, "running") }
    assert_equal %w[running finished ended], output.split
    assert_predicate status, :success?
  end

  def test_a_second_ctrl_c_does_not_wait
    code = APP + 'app.topic("t") { |_| puts "running"; sleep }; app.subscribe("app.stopping") { puts "stopping" }; app.run'
    _, status, seconds = run_ruby(code) do |pid, so_far|
      signal(pid, so_far, :INT, "running")
      signal(pid, so_far, :INT, "stopping")
    end
    refute_predicate status, :success?
    assert_operator seconds, :<, 10
  end

  def test_a_trap_may_stop_the_app
    code = APP + 'app.topic("t") { |_| puts "running" }; trap(:USR1) { app.stop(wait: false) }; app.run; puts "ended"'
    output, status, = run_ruby(code) { |pid, so_far| signal(pid, so_far, :USR1, "running") }
    assert_equal %w[running ended], output.split
    assert_predicate status, :success?
  end

  def test_exit_in_a_consumer_ends_the_program_with_its_status
    output, status, = run_ruby(APP + 'app.topic("t") { |_| exit 9 }; app.run; puts "not here"')
    assert_equal 9, status.exitstatus, output
    assert_empty output
  end

  def test_exit_in_a_consumer_ends_a_program_that_does_something_else
    output, status, seconds = run_ruby(APP + 'app.topic("t") { |_| exit 8 }; app.start; sleep')
    assert_equal 8, status.exitstatus, output
    assert_operator seconds, :<, 10
  end

  def test_ctrl_c_is_noticed_while_nothing_happens
    code = APP + 'app.topic("t") { |_| puts "running" }; begin; app.run; rescue Interrupt; puts "Interrupt"; end'
    output, = run_ruby(code) do |pid, so_far|
      signal(pid, so_far, :CONT, "running")
      Process.kill(:INT, pid)
    end
    assert_equal %w[running Interrupt], output.split
  end

  def test_a_process_that_never_started_anything_ends
    _, status, seconds = run_ruby('LibKarafka::App.new(bootstrap_servers: ADDRESS).topic("t") { |_| }')
    assert_predicate status, :success?
    assert_operator seconds, :<, 5
  end
end
