# frozen_string_literal: true

# One measured run of a Ruby consumer. Prints one line of JSON; the environment is described in ../rust/reading.rs.

require "libkarafka"

WANTED = Integer(ENV.fetch("BENCH_MESSAGES"))
PAUSE = Integer(ENV.fetch("BENCH_PAUSE_US")) / 1e6
RUN = { handled: 0, bytes: 0, keys: 0, began: nil, ended: nil }
OVER = Queue.new

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# No thread is switched from between a read and the write right after it, so no lock is needed.
def count(more)
  RUN[:handled] += more
  return if RUN[:ended] || RUN[:handled] < WANTED

  RUN[:ended] = now
  OVER << true
end

class Reading < LibKarafka::BaseConsumer
  def consume
    RUN[:began] ||= now
    bytes = keys = 0
    messages.each do |message|
      bytes += message.payload.bytesize
      keys += message.key.getbyte(-1)
      if PAUSE.positive?
        sleep(PAUSE)
        count(1)
      end
    end
    RUN[:bytes] += bytes
    RUN[:keys] += keys
    count(messages.size) if PAUSE.zero?
  end
end

app = LibKarafka::App.new(
  bootstrap_servers: ENV.fetch("BENCH_BROKERS"),
  group: ENV.fetch("BENCH_GROUP"),
  concurrency: Integer(ENV.fetch("BENCH_WORKERS"))
)
app.topic(
  ENV.fetch("BENCH_TOPIC"),
  consumer: Reading,
  virtual_partitions: ENV.fetch("BENCH_VIRTUAL_PARTITIONS").to_sym,
  max_messages: Integer(ENV.fetch("BENCH_MAX_MESSAGES")),
  virtual_partitions_per_job: Integer(ENV.fetch("BENCH_KEYS_PER_CALL"))
)
app.start
OVER.pop
app.stop
seconds = RUN[:ended] - RUN[:began]
puts %({"messages":#{WANTED},"seconds":#{format("%.6f", seconds)},"handled":#{RUN[:handled]},"bytes":#{RUN[:bytes]}})
