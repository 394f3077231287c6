# frozen_string_literal: true

module LibKarafka
  # Keeps signals coming in. Until 3.3, Ruby has no thread of its own that notices them: a sleeping Ruby thread does. When
  # all threads wait in native code, as those of an idle app do, Ctrl-C would wait for the next message. So one thread sleeps.
  module Signals
    # What an app obeys when its program wants that.
    OBEYED = %w[TERM INT QUIT TSTP CONT TTIN].freeze

    @watcher = nil

    class << self
      # Makes sure that somebody watches, also in a forked child.
      def watch
        return if RUBY_VERSION >= "3.3" || @watcher&.alive?

        @watcher = Thread.new { sleep }
        @watcher.name = "karafka-signals"
      end

      # Hands each signal that comes while the block runs to +obey+, on a thread of its own: a trap may do next to nothing.
      def hand_to(obey)
        came = Queue.new
        former = OBEYED.to_h { |name| [name, trap(name) { came << name }] }
        thread = Thread.new do
          while (name = came.pop)
            begin
              obey.call(name)
            rescue StandardError => e
              # Such as a standard error stream that nobody reads any more. The next signal is obeyed all the same.
              tell(e)
            end
          end
        end
        thread.name = "karafka-obey"
        yield
      ensure
        former&.each { |name, handler| trap(name, handler || "DEFAULT") }
        came << nil
        thread&.join
      end

      private

      def tell(error)
        warn("libkarafka: a signal was not obeyed: #{error.message}")
      rescue SystemCallError, IOError
        nil
      end
    end
  end
  private_constant :Signals
end
