# frozen_string_literal: true

require "minitest/autorun"
require "timeout"
require "libkarafka"

# What every test uses: its own broker address, topic and group, and waits that end with the effect or fail.
module Support
  ADDRESS = "embedded://tests"
  PATIENCE = 30

  def setup
    @apps = []
  end

  def teardown
    @apps.each do |app|
      app.stop(timeout: 5) unless app.phase == :stopped
    rescue StandardError
      nil
    end
  end

  # A name that no other test has.
  def unique(base)
    @@number = (defined?(@@number) ? @@number : 0) + 1
    "#{base}-#{Process.pid}-#{@@number}"
  end

  def broker
    LibKarafka::EmbeddedBroker.named(ADDRESS)
  end

  def new_topic(partitions: 1)
    unique("topic").tap { |name| broker.create_topic(name, partitions: partitions) }
  end

  def new_app(**options)
    LibKarafka::App.new(bootstrap_servers: ADDRESS, group: unique("group"), group_protocol: "consumer", **options).tap { |app| @apps << app }
  end

  def producer
    @@producer ||= LibKarafka::Producer.new(bootstrap_servers: ADDRESS)
  end

  # Produces pairs of key and payload.
  def produce(topic, pairs, **options)
    producer.produce_many_sync(pairs.map { |key, payload| { topic: topic, key: key, payload: payload, **options } })
  end

  # The threads that an app lends to the core now.
  def workers_of(app)
    app.instance_variable_get(:@workers).instance_variable_get(:@threads).keys.select(&:alive?)
  end

  # Waits until the block is true. What is waited for may be a callable, which then says how far it came.
  def eventually(what = "the effect", seconds = PATIENCE)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
    until (value = yield)
      flunk("waited #{seconds} s for #{what.respond_to?(:call) ? what.call : what}") if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      sleep 0.005
    end
    value
  end

  # Takes so many things out of a queue.
  def take(queue, count, seconds = PATIENCE)
    taken = []
    eventually(-> { "#{count} things (#{taken.size} came)" }, seconds) do
      taken << queue.pop until queue.empty? || taken.size == count
      taken.size == count
    end
    taken
  end

  # Runs Ruby code in a process of its own. Returns its output (both streams), status and seconds.
  def run_ruby(code, *flags, seconds: PATIENCE, &block)
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    reader, writer = IO.pipe
    preamble = "$stdout.sync = true; require 'libkarafka'; ADDRESS = 'embedded://child';"
    pid = Process.spawn("ruby", *flags, "-e", preamble + code, out: writer, err: writer)
    writer.close
    output = +""
    reading = Thread.new do
      while (part = reader.readpartial(4096))
        output << part
      end
    rescue EOFError
      nil
    end
    begin
      block&.call(pid, output)
    rescue Minitest::Assertion
      Process.kill(:KILL, pid)
      Process.waitpid(pid)
      raise
    end
    deadline = started + seconds
    until (waited = Process.waitpid2(pid, Process::WNOHANG))
      if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
        Process.kill(:KILL, pid)
        Process.waitpid(pid)
        flunk("the process did not end within #{seconds} s: #{output}")
      end
      sleep 0.005
    end
    reading.join(5)
    [output, waited.last, Process.clock_gettime(Process::CLOCK_MONOTONIC) - started]
  end

  # Sends a signal to a process of #run_ruby once it has said something.
  def signal(pid, output, signal, after)
    eventually(-> { "#{after} of #{pid}, which said: #{output}" }) { output.include?(after) }
    Process.kill(signal, pid)
  end
end

class KarafkaTest < Minitest::Test
  include Support
end
