# frozen_string_literal: true

# The Ruby handler: counts flights and adds up delays for every airport.
#
# A process of its own. Ends when its standard input does, and then writes what it has.

require "json"
require "libkarafka"

# Lines of what the handlers saw (see journal.py), written ten times a second.
class Journal
  def initialize(path)
    @file = File.open(path, "w")
    @lines = Queue.new
    @calls = Queue.new
    @number = 0
    @numbering = Mutex.new
    @writer = Thread.new { write }
  end

  def call(rows)
    number = @numbering.synchronize { @number += 1 }
    @lines << "+ #{number} #{rows.join(" ")}\n"
    yield
    ended = true
  ensure
    @lines << "#{ended ? "-" : "!"} #{number}\n"
  end

  def close
    @lines.close
    @writer.join
  end

  private

  def write
    until @lines.closed? && @lines.empty?
      sleep 0.1 unless @lines.closed?
      @file.write(@lines.pop) until @lines.empty?
      @file.flush
    end
    @file.close
  end
end

journal = Journal.new(ENV.fetch("DEMO_JOURNAL"))
airports = Hash.new { |all, code| all[code] = [0, 0, 0, 0, 0] }

app = LibKarafka::App.new(bootstrap_servers: ENV.fetch("DEMO_BROKERS"), concurrency: 5)
app.topic(ENV.fetch("DEMO_ENRICHED"), group: ENV.fetch("DEMO_GROUP"), virtual_partitions: :by_key) do |messages|
  flights = messages.payloads.map { |payload| payload.split("\t") }
  journal.call(flights.map(&:first)) do
    flights.each do |_row, destination, _name, delay, rain|
      # One airport is one key, and so never on two threads: its sums need no lock.
      sums = airports[destination]
      sums[0] += 1
      next if delay == "NA"

      sums[1] += 1
      sums[2] += delay.to_i
      next unless rain == "1"

      sums[3] += 1
      sums[4] += delay.to_i
    end
  end
end

Thread.new do
  $stdin.read
  app.stop(wait: false)
end
app.run
journal.close
File.write(ENV.fetch("DEMO_RESULT"), JSON.generate(airports))
