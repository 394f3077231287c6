# frozen_string_literal: true

module LibKarafka
  # User code for one topic: a subclass with +consume+.
  #
  #   class OrdersConsumer < LibKarafka::BaseConsumer
  #     def consume
  #       messages.each { |message| Order.store(message.key, message.payload) }
  #     end
  #   end
  #
  # When +consume+ returns, its messages are done. When it raises, those that were not marked are tried again after a
  # back-off, while other virtual partitions go on. It may also mark messages as it goes.
  #
  # An object is never used by two threads at once. With virtual partitions off or fixed it belongs to its virtual
  # partition for as long as the process owns it, so that it may keep state; else it is made for the one call.
  class BaseConsumer
    # Seconds that a call which waits for the broker waits at most.
    PATIENCE = 30

    # A consumer whose +consume+ is this block, with the messages as its argument.
    def self.of(&block)
      Class.new(self) do
        define_method(:consume_messages, &block)
        define_method(:consume) { consume_messages(messages) }
      end
    end

    # The messages of the running call.
    attr_reader :messages

    def consume
      raise NotImplementedError, "#{self.class} has no method consume"
    end

    # The topic's name.
    def topic
      messages.topic
    end

    # The partition's number.
    def partition
      messages.partition
    end

    # Which attempt at the first message this call is, from 1.
    def attempt
      messages.attempt
    end

    # Whether the first message was tried before.
    def retrying?
      attempt > 1
    end

    # Whether the partition went to another process. From then on nothing of it can be marked here.
    def revoked?
      messages.revoked?
    end

    # Whether the app was asked to stop; a long call may end early then.
    def stopping?
      messages.stopping?
    end

    # Marks a message and all before it in its virtual partition. Returns whether the partition is still owned; the commit
    # follows within +commit_interval+.
    def mark_as_consumed(message)
      message.mark(true)
    end

    # Marks like #mark_as_consumed, and returns after the broker has what may be committed: the returned boolean is a
    # fence for effects that must not happen twice.
    #
    # Raises TimeoutError when no broker answered in +timeout+ seconds.
    def mark_as_consumed!(message, timeout: PATIENCE)
      message.mark(true) && message.commit(timeout)
    end

    # Marks this one message and no other. Returns whether the partition is still owned.
    def acknowledge(message)
      message.mark(false)
    end

    # Commits what is marked, and returns after the broker has it. Returns whether the partition is still owned.
    def commit!(timeout: PATIENCE)
      messages.commit(timeout)
    end

    # LibKarafka.producer.
    def producer
      LibKarafka.producer
    end

    def receive(messages) # :nodoc:
      @messages = messages
      consume
    ensure
      @messages = nil
    end
  end
end
