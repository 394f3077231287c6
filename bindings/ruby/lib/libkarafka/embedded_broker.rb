# frozen_string_literal: true

module LibKarafka
  # A broker inside the process, for trying things out and for tests. It keeps everything in memory, 5 MiB or 100,000
  # batches a partition, and knows no transactions, access rules, administration and offsets by time.
  class EmbeddedBroker
    # Creates a topic. One that is only used comes into being with four partitions.
    #
    # Raises ConfigError for a wrong name or number, BrokerError when there is one of that name.
    def create_topic(name, partitions: 1)
      add_topic(name.to_s, partitions)
      self
    end
  end

  # The broker behind +embedded://name+ in this process; starts it if it is not there.
  def self.embedded_broker(name = "")
    EmbeddedBroker.named("embedded://#{name}")
  end
end
