# frozen_string_literal: true

module LibKarafka
  # Who wants to know what happens in an app. Each has a thread and a queue of its own, so that one that hangs or fails holds
  # up nobody else.
  class Subscribers # :nodoc:
    # Seconds that subscribers get at the end to hear the last events.
    GRACE = 2

    def initialize(native)
      @native = native
      @subscribed = []
      @threads = []
      @started = false
    end

    # +names+ is nil for all events but those of single calls.
    def add(names, block)
      events = @native.events(names)
      if @started
        tell(events, block)
      else
        @subscribed += [[events, block]]
      end
    end

    def start
      @started = true
      @subscribed.each { |events, block| tell(events, block) }
      @subscribed = []
    end

    def include?(thread)
      @threads.include?(thread)
    end

    # Waits until everything that happened was told, but not for a subscriber that does not come back.
    def join
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + GRACE
      @threads.each do |thread|
        left = deadline - Process.clock_gettime(Process::CLOCK_MONOTONIC)
        thread.join([left, 0].max) unless thread == Thread.current
      end
    end

    private

    def tell(events, block)
      thread = Thread.new do
        while (told = events.next)
          call(block, Event.new(*told))
        end
      end
      thread.name = "karafka-events"
      @threads += [thread]
    end

    # A subscriber's error is its own.
    def call(block, event)
      block.call(event)
    rescue StandardError, ScriptError, SystemStackError => e
      warn("libkarafka: a subscriber of #{event.name} failed: #{e.full_message(highlight: false)}")
    end
  end
  private_constant :Subscribers
end
