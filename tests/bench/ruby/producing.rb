# frozen_string_literal: true

# One measured run of a Ruby producer, a thousand messages a call. Prints one line of JSON; the environment is described in
# ../rust/reading.rs.

require "libkarafka"

WANTED = Integer(ENV.fetch("BENCH_MESSAGES"))
PAYLOAD = ("\0" * 100).b.freeze
TOPIC = ENV.fetch("BENCH_TOPIC").freeze
KEYS = Array.new(1_000) { |number| format("key-%04d", number).freeze }.freeze

producer = LibKarafka::Producer.new(bootstrap_servers: ENV.fetch("BENCH_BROKERS"), queue_full_timeout: 60_000)
producer.produce_sync(topic: TOPIC, payload: PAYLOAD, key: KEYS[0])
began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
(0...WANTED).each_slice(1_000) do |numbers|
  producer.produce_many_async(numbers.map { |number| { topic: TOPIC, payload: PAYLOAD, key: KEYS[number * 387 % 1_000] } })
end
left = producer.flush(timeout: 120)
seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - began
producer.close
handled = WANTED - left
puts %({"messages":#{WANTED},"seconds":#{format("%.6f", seconds)},"handled":#{handled},"bytes":#{handled * 100}})
