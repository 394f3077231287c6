# frozen_string_literal: true

# Consumes a topic with a virtual partition for each key, until three messages were seen. Runs as it is, on a broker
# inside the process; BROKERS=host:port runs it against a Kafka.

require "libkarafka"

seen = Queue.new
app = LibKarafka::App.new(bootstrap_servers: ENV.fetch("BROKERS", "embedded://"), group: "hello")
app.topic("hello", virtual_partitions: :by_key) do |messages|
  messages.each { |message| seen << puts("#{message.key} says #{message.payload}") }
  app.stop if seen.size >= 3
end
%w[anna otto eve].each { |name| LibKarafka.producer.produce_sync(topic: "hello", key: name, payload: "hello") }
app.run
