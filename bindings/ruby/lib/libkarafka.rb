# frozen_string_literal: true

require "libkarafka.so"

# Processes Apache Kafka topics in parallel, in order per key, losing nothing.
module LibKarafka
  private_constant :Native
end

require_relative "libkarafka/error"
require_relative "libkarafka/signals"
require_relative "libkarafka/exit"
require_relative "libkarafka/config"
require_relative "libkarafka/event"
require_relative "libkarafka/message"
require_relative "libkarafka/messages"
require_relative "libkarafka/outputs"
require_relative "libkarafka/base_consumer"
require_relative "libkarafka/failures"
require_relative "libkarafka/routing"
require_relative "libkarafka/dispatcher"
require_relative "libkarafka/workers"
require_relative "libkarafka/scheduler"
require_relative "libkarafka/subscribers"
require_relative "libkarafka/recurring"
require_relative "libkarafka/app"
require_relative "libkarafka/producer"
require_relative "libkarafka/transaction"
require_relative "libkarafka/embedded_broker"
require_relative "libkarafka/reader"
require_relative "libkarafka/admin"
