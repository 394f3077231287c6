# frozen_string_literal: true

module LibKarafka
  # Ends what still runs when the process ends: apps leave their groups, producers deliver what they were given.
  module Exit
    # Seconds that running handlers get when nobody stopped their app.
    GRACE = 2

    @running = {}.compare_by_identity
    @process = nil
    @exiting = false

    class << self
      # Whether the process is ending: no thread is replaced any more.
      def exiting?
        @exiting
      end

      # Has +object+ asked to +finish+ when this process ends. In a forked child, the parent's objects are not asked.
      def watch(object)
        Signals.watch
        unless @process == Process.pid
          @process = Process.pid
          @exiting = false
          @running = {}.compare_by_identity
          at_exit { finish(@process) }
        end
        @running[object] = true
      end

      # +object+ has finished.
      def ignore(object)
        @running.delete(object)
      end

      private

      def finish(process)
        return unless process == Process.pid

        @exiting = true
        # Consumers that still run may produce: producers come last.
        apps, producers = @running.keys.partition { |object| object.is_a?(App) }
        apps.each(&:ask_to_finish)
        [*apps, *producers].each(&:finish)
      end
    end
  end
  private_constant :Exit
end
