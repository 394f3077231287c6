# frozen_string_literal: true

module LibKarafka
  # Who wants to know what happens in an app, and the thread that tells them.
  class Subscribers # :nodoc:
    def initialize(native)
      @native = native
      @blocks = []
      @events = nil
      @thread = nil
      @started = false
    end

    def add(name, block)
      @events ||= @native.events
      @blocks += [[name, block]]
      tell if @started
    end

    def start
      @started = true
      tell if @events
    end

    def include?(thread)
      thread == @thread
    end

    # Waits until everything that happened was told.
    def join
      @thread&.join unless include?(Thread.current)
    end

    private

    def tell
      return if @thread&.alive?

      @thread = Thread.new do
        while (told = @events.next)
          publish(Event.new(*told))
        end
      end
      @thread.name = "karafka-events"
    end

    def publish(event)
      blocks = @blocks.select { |name, _| name.nil? || name == event.name }
      warn("libkarafka: #{event}") if blocks.empty? && event.urgent?
      blocks.each { |_, block| call(block, event) }
    end

    # A subscriber's error is its own.
    def call(block, event)
      block.call(event)
    rescue StandardError => e
      warn("libkarafka: a subscriber of #{event.name} failed: #{e.full_message(highlight: false)}")
    end
  end
  private_constant :Subscribers
end
