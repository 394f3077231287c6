# frozen_string_literal: true

require "json"
require "open3"
require "tmpdir"

# The gem's executable.
class TestFrontEnd < KarafkaTest
  EXECUTABLE = File.expand_path("../exe/libkarafka", __dir__)

  APP = <<~RUBY
    $stdout.sync = true
    LibKarafka.embedded_broker("front").create_topic("t")
    LibKarafka::Producer.new(bootstrap_servers: "embedded://front").produce_sync(topic: "t", payload: "x")
    class Billing < LibKarafka::App
      setup { |config| config.bootstrap_servers = "embedded://front"; config.group = "g"; config.shutdown_timeout = 300 }
      routes.draw { topic("t") { |_| puts "handled"; HANDLE.call } }
    end
  RUBY

  # The executable's output (both streams) and status; the block gets its process id after the first line.
  def execute(*arguments, code: nil)
    Dir.mktmpdir do |directory|
      file = File.join(directory, "app.rb")
      File.write(file, code) if code
      arguments = arguments.map { |argument| argument == :file ? file : argument }
      Open3.popen2e(RbConfig.ruby, EXECUTABLE, *arguments) do |_, output, thread|
        said = +""
        if block_given?
          said << output.gets.to_s
          yield thread.pid
        end
        Timeout.timeout(PATIENCE) { said << output.read }
        [said, thread.value.exitstatus]
      end
    end
  end

  def test_an_app_is_run_until_a_signal
    output, status = execute("run", :file, code: "HANDLE = -> {}\n#{APP}") { |pid| Process.kill(:TERM, pid) }
    assert_equal ["handled\n", 0], [output, status]
  end

  def test_consumers_that_are_left_behind
    output, status = execute("run", :file, "Billing", code: "HANDLE = -> { sleep }\n#{APP}") do |pid|
      Process.kill(:TERM, pid)
    end
    assert_equal 2, status, output
    assert_includes output, "libkarafka: stop:"
  end

  def test_a_program_tells_its_flow_and_does_nothing_else
    code = <<~RUBY
      class Base < LibKarafka::BaseConsumer
        produces "invoices", "audit", multiple: true
      end
      class Billing < Base
        produces "invoices", required: true
        def consume; end
      end
      class Flow < LibKarafka::App
        setup { |config| config.bootstrap_servers = "127.0.0.1:1" }
        routes.draw do
          topic("orders", consumer: Billing) { produces("orders.copy", multiple: true) }
          topic(/pay.*/, produces: %w[paid audit]) { |_| nil }
        end
      end
      at_exit { warn "something else" }
    RUBY
    ENV["LIBKARAFKA_FLOW"] = "-"
    output, status = execute("run", :file, code: code)
    topics = JSON.parse(output).fetch("topics")
    written = topics.map { |topic| topic["writes"].map { |output| [output["topic"], output["required"], output["multiple"]] } }
    assert_equal [[["audit", false, true], ["invoices", true, false], ["orders.copy", false, true]],
                  [["audit", false, false], ["paid", false, false]]], written
    assert_equal [0, ["orders", "^pay.*"]], [status, topics.map { |topic| topic["topic"] }]
  ensure
    ENV.delete("LIBKARAFKA_FLOW")
  end

  def test_what_is_wrong_is_said_in_one_line
    assert_equal 64, execute.last
    assert_equal 64, execute("run").last
    assert_equal 64, execute("run", "--no-such-flag").last
    assert_equal 0, execute("--help").last
    output, status = execute("run", "nowhere.rb")
    assert_equal [78, "libkarafka: there is no such file: #{File.expand_path('nowhere.rb')}\n"], [status, output]
    output, status = execute("run", :file, code: "1 + 1")
    assert_equal 78, status, output
    output, status = execute("run", :file, "Nothing", code: "HANDLE = -> {}\n#{APP}")
    assert_equal 78, status, output
    output, status = execute("run", :file, code: "HANDLE = -> {}\n#{APP}\nclass Other < LibKarafka::App; end")
    assert_equal 78, status, output
    assert_includes output, "say which one"
    wrong = "class Wrong < LibKarafka::App; setup { |config| config.concurrency = 0 }; end"
    output, status = execute("run", :file, code: wrong)
    assert_equal [78, 1], [status, output.lines.size], output
    assert_includes output, "concurrency"
    output, status = execute("run", :file, code: "raise 'no such customer'")
    assert_equal 1, status
    assert_includes output, "no such customer"
  end
end
