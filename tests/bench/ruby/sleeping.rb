# frozen_string_literal: true

# BENCH_WORKERS threads that only sleep BENCH_PAUSE_US, until they have slept BENCH_MESSAGES times: what Ruby's threads give
# to handlers that wait, without any Kafka. Prints one line of JSON.

wanted = Integer(ENV.fetch("BENCH_MESSAGES"))
pause = Integer(ENV.fetch("BENCH_PAUSE_US")) / 1e6
now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }
slept = 0
began = ended = nil

threads = Array.new(Integer(ENV.fetch("BENCH_WORKERS"))) do
  Thread.new do
    began ||= now.call
    while slept < wanted
      sleep(pause)
      # One thread runs at a time, and none is switched from between a read and the write right after it.
      slept += 1
      ended ||= now.call if slept >= wanted
    end
  end
end
threads.each(&:join)
puts %({"messages":#{wanted},"seconds":#{format("%.6f", ended - began)},"handled":#{wanted},"bytes":0})
