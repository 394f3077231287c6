# frozen_string_literal: true

module LibKarafka
  # The Ruby threads that an app lends to the core. One that is killed is replaced.
  class Workers # :nodoc:
    def initialize(native, dispatcher)
      @native = native
      @dispatcher = dispatcher
      # By identity: threads that put keys with a `hash` method into one Hash at a time can crash Ruby, when its ninth key makes it
      # another kind of table and `hash` lets another thread run (3.1).
      @threads = {}.compare_by_identity
      @number = 0
    end

    def add(count)
      count.times { add_one }
    end

    def include?(thread)
      @threads.key?(thread)
    end

    # What each thread does now. The system's number of a thread is the one that the core's report has.
    def backtraces
      @threads.keys.map do |thread|
        frames = thread.backtrace || []
        ["  #{thread.name} (thread #{thread.native_thread_id}):", *frames.map { |frame| "    #{frame}" }].join("\n")
      end.join("\n")
    end

    # Waits until all but the calling thread have ended.
    def join
      @threads.keys.each { |thread| thread.join unless thread == Thread.current }
    end

    private

    def add_one
      # One that is killed before it begins would have nobody to replace it.
      thread = Thread.handle_interrupt(Object => :never) { Thread.new { work } }
      thread.name = "karafka-work-#{@number += 1}"
    end

    def work
      @threads[Thread.current] = true
      Thread.handle_interrupt(Object => :immediate) { @native.work(@dispatcher) }
      over = true
    ensure
      @threads.delete(Thread.current)
      add_one if !over && wanted?
    end

    def wanted?
      !Exit.exiting? && !%i[stopping stopped].include?(@native.phase)
    rescue ForkedError
      false
    end
  end
  private_constant :Workers
end
