# frozen_string_literal: true

module LibKarafka
  # Keeps signals coming in. Until 3.3, Ruby has no thread of its own that notices them: a sleeping Ruby thread does. When
  # all threads wait in native code, as those of an idle app do, Ctrl-C would wait for the next message. So one thread sleeps.
  module Signals
    @watcher = nil

    # Makes sure that somebody watches, also in a forked child.
    def self.watch
      return if RUBY_VERSION >= "3.3" || @watcher&.alive?

      @watcher = Thread.new { sleep }
      @watcher.name = "karafka-signals"
    end
  end
  private_constant :Signals
end
