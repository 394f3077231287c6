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
  #
  # A class may define hooks, calls without messages; what it does not define costs nothing:
  #
  # +initialized+:: before the first call of each object, in the same thread. What it raises is a failure of that call.
  # +tick+:: nothing happened for +periodic_interval+; for topics with +periodic+.
  # +eofed+:: the end of the partition was reached and no messages came along; for topics with +eofed+.
  # +revoked+:: the partition goes to another process, and what is marked here still counts; or it was lost (#revoked?).
  # +shutdown+:: the app stops; what is marked here still counts.
  #
  # +revoked+ and +shutdown+ come once for each consumer that had messages or a tick, after its running calls; only with
  # +long_running_job+, +revoked+ comes at once, beside a running +consume+ of the same object. What a hook raises is an
  # event, and is not tried again.
  #
  # What a class writes may be declared, for every topic that it is the consumer of:
  #
  #   produces "invoices", required: true
  class BaseConsumer
    extend Outputs

    # What was declared, by this class and those it comes from.
    def self.outputs # :nodoc:
      own = outputs_of_own
      superclass.respond_to?(:outputs) ? superclass.outputs.merge(own) : own
    end

    # Hooks, in the core's words.
    HOOKS = %i[tick eofed revoked shutdown].freeze
    private_constant :HOOKS

    # The hooks that a class of consumers defines.
    def self.hooks_of(consumer_class) # :nodoc:
      HOOKS.select { |hook| hears?(consumer_class, hook) }
    end

    def self.hears?(consumer_class, hook) # :nodoc:
      consumer_class.is_a?(Module) && (consumer_class.method_defined?(hook) || consumer_class.private_method_defined?(hook))
    end

    # Seconds that a call which waits for the broker waits at most.
    PATIENCE = 30

    # A consumer whose +consume+ is this block, with the messages as its argument.
    def self.of(&block)
      Class.new(self) do
        define_method(:consume_messages, &block)
        define_method(:consume) { consume_messages(messages) }
      end
    end

    # The messages of the running call; in a hook there are none, and it is empty.
    #
    # Raises StoppedError while no call runs; so do all that concern the call's partition, but for marks of a message.
    def messages
      @messages || @unheard || raise(StoppedError.new("look at the call: no call of this consumer runs", kind: :stopped))
    end

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

    # Whether the end of the partition was reached behind the messages of this call, as far as is known. For topics with
    # +eofed+.
    def eofed?
      messages.eofed?
    end

    # Whether the consumer was given messages in this ownership of the partition, in this call or before. For classes with
    # hooks.
    def used?
      messages.used?
    end

    # Whether the app was asked to stop; a long call may end early then.
    def stopping?
      messages.stopping?
    end

    # Marks a message and all before it in its virtual partition. Returns whether the partition is still owned; the commit
    # follows within +commit_interval+. Inside of #transaction it is part of that, and raises NotOwnedError instead. A text is stored with the offset: whoever is assigned the partition next reads it by
    # #offset_metadata; which of several is stored is decided by +offset_metadata_strategy+.
    def mark_as_consumed(message, text = nil)
      marked(text ? message.mark_with(text) : message.mark(true))
    end

    # Marks like #mark_as_consumed, and returns after the broker has what may be committed: the returned boolean is a
    # fence for effects that must not happen twice.
    #
    # Raises TimeoutError when no broker answered in +timeout+ seconds.
    def mark_as_consumed!(message, text = nil, timeout: PATIENCE)
      mark_as_consumed(message, text) && message.commit(timeout)
    end

    # Marks this one message and no other. Returns whether the partition is still owned.
    def acknowledge(message)
      marked(message.mark(false))
    end

    # Commits what is marked, and returns after the broker has it. Returns whether the partition is still owned.
    def commit!(timeout: PATIENCE)
      messages.commit(timeout)
    end
    alias commit_offsets! commit!

    # Commits what is marked now instead of at the next +commit_interval+, and returns at once. Returns whether the partition
    # is still owned.
    def commit_offsets
      messages.commit_offsets
    end

    # Calls the block with a Transaction of what this call produces and marks, and commits it when the block returns: outputs
    # and offsets become visible together. Returns what the block did. Everything else aborts, and nothing of it is ever
    # visible: an exception, which goes on, AbortTransaction, which does not, leaving by +break+, +return+ or +throw+, and the
    # loss of the partition. #produce_async, #mark_as_consumed and #acknowledge inside the block belong to the transaction.
    # Inside a transaction of the same call the block joins it.
    #
    # Transactions of several calls produce at the same time; those of one partition commit one after the other.
    #
    # Raises NotOwnedError when the partition is lost; UnsupportedError on the embedded broker, which keeps no transactions;
    # TransactionError or TimeoutError when it was aborted.
    def transaction
      joined = open_transaction
      return yield(joined) if joined

      native = messages.begin_transaction
      Transaction.settle(native) do |transaction|
        @open_transaction = transaction
        @transaction_thread = Thread.current
        yield(transaction)
      ensure
        @open_transaction = @transaction_thread = nil
      end
    end

    # Sends a message, in the open transaction if there is one, and returns its Delivery at once; keywords as of
    # Producer#produce_async.
    def produce_async(**message)
      (open_transaction || producer).produce_async(**message)
    end

    # Calls the block with one message after the other, and marks each when the block returned. An exception of the block ends
    # it: only its message and those behind it are tried again. Ends early, too, when the partition is lost.
    def each
      messages.each do |message|
        break if revoked?

        yield message
        acknowledge(message)
      end
    end

    # Hands out no more messages of the partition for +seconds+, or until #resume. Running calls go on, and nothing that was
    # fetched is thrown away. What this call has not marked when it returns is not marked by returning: it comes again when
    # the pause is over. A later pause takes the place of an earlier one; a pause ends with the ownership of the partition.
    # Returns whether the partition is still owned.
    def pause(seconds = nil)
      messages.pause(seconds&.to_f)
    end

    # Ends a pause, whoever paused. Returns whether the partition is still owned.
    def resume
      messages.resume
    end

    # Moves the partition: the next message that is handed out is at the target, forwards or backwards: an offset, a Time (the
    # first message that is not older), +:earliest+ or +:latest+. Messages that wait are dropped; what running calls mark from
    # then on does not count, nor what this call has not marked. The new position is committed, also where it lies below the
    # old one. Returns whether the partition is still owned.
    #
    # Raises an Error when the target cannot be found or reached; then the partition goes on where it was.
    def seek(target, timeout: PATIENCE)
      messages.seek(target, timeout)
    end

    # Stores a text with the offset from the next commit on, without marking anything. Returns whether the partition is still
    # owned.
    def store_offset_metadata(text)
      messages.store_offset_metadata(text)
    end

    # The text that was stored with the partition's offset when it was assigned, or the last one given here since; empty when
    # there is none, and false when the partition is no longer owned.
    def offset_metadata
      messages.offset_metadata || false
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

    # In a transaction there is nothing to go on with when the partition is lost.
    def marked(owned)
      return owned if owned || !open_transaction

      raise NotOwnedError.new("mark in a transaction: the partition went to another member", kind: :not_owned)
    end
    private :marked

    # Not of a call that runs beside a hook.
    def open_transaction
      @open_transaction if @transaction_thread == Thread.current
    end
    private :open_transaction

    # Calls a hook, whose messages are none. Not under the same name as those of a call: with +long_running_job+ one may run.
    def hear(hook, messages) # :nodoc:
      @unheard = messages
      send(hook)
    ensure
      @unheard = nil
    end
  end
end
