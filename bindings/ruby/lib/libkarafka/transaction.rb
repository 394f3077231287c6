# frozen_string_literal: true

module LibKarafka
  # Raised in a transaction's block, ends it without a word: it is aborted, and +transaction+ returns +nil+.
  class AbortTransaction < StandardError
  end

  # An open transaction: what is produced by it becomes visible together, or not at all.
  class Transaction
    def initialize(native) # :nodoc:
      @native = native
      @producer = Producer.allocate.tap { |producer| producer.send(:lend, native.producer) }
    end

    # Calls the block with a transaction, and ends it accordingly, also where the thread is interrupted just before the block or
    # just behind it.
    def self.settle(native) # :nodoc:
      commits = false
      value = yield(new(native))
      commits = true
      native.commit
      value
    rescue AbortTransaction
      nil
    ensure
      native.abort if !commits && native.open?
    end

    # Sends a message as part of the transaction, and returns its Delivery at once; keywords as of Producer#produce_async. The
    # commit waits for its acknowledgement, and aborts without it.
    #
    # Raises TransactionError when the transaction has ended.
    def produce_async(**message)
      check
      @producer.produce_async(**message)
    end

    # Sends messages, in order: an array of Hashes with the keywords of #produce_async. Returns their Deliveries at once.
    def produce_many_async(messages)
      check
      @producer.produce_many_async(messages)
    end

    # Whether it has neither been committed nor aborted.
    def open?
      @native.open?
    end

    private

    def check
      return if open?

      raise TransactionError.new("produce: the transaction has ended", kind: :transaction)
    end
  end

  # Produces in transactions: their messages become visible together, or not at all. All threads may use it; one transaction
  # is open at a time, and who wants the next one waits for its turn.
  class TransactionalProducer
    # Takes the producer's options by name; +transactional_id+ is needed. Connects and registers with the first transaction: an
    # earlier producer of the same id is fenced by that, and what it left open is aborted.
    #
    # Raises ConfigError with every problem, and UnsupportedError for the embedded broker, which keeps no transactions.
    def initialize(**options)
      @native = Native::TransactionalProducer.new(options)
      @open = {}.compare_by_identity
    end

    # Calls the block with a Transaction and commits it when the block returns; returns what the block did. Everything else
    # aborts: an exception, which goes on, AbortTransaction, which does not, and leaving by +break+, +return+ or +throw+. Inside
    # a transaction of the same thread the block joins it: nothing is committed before the outermost one ends.
    #
    # Raises TransactionError or TimeoutError when the transaction was aborted (retriable: do the whole again), or when its
    # result is unknown (never retriable, the message says so); FencedError when another producer of the same
    # +transactional_id+ has taken over.
    def transaction
      joined = @open[Thread.current]
      return yield(joined) if joined

      native = @native.begin(Thread.current.object_id)
      Transaction.settle(native) do |transaction|
        @open[Thread.current] = transaction
        yield(transaction)
      ensure
        @open.delete(Thread.current)
      end
    end

    # Sends a message in a transaction of its own, or in the one that this thread has open. Returns a DeliveryReport.
    def produce_sync(**message)
      transaction { |open| open.produce_async(**message).wait }
    end

    # Sends messages in a transaction of their own, or in the one that this thread has open. Returns their DeliveryReports.
    def produce_many_sync(messages)
      transaction { |open| open.produce_many_async(messages).map(&:wait) }
    end

    # Closes: waits for the open transaction of another thread, at most +transaction_timeout+. Closing twice is no error.
    #
    # Raises TimeoutError when a transaction is still open.
    def close
      @native.close
      nil
    end
  end
end
