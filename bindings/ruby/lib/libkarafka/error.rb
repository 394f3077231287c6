# frozen_string_literal: true

module LibKarafka
  # What all errors of libkarafka have in common. Each kind is a class of its own: ConfigError, BrokerError, AuthError,
  # TimeoutError, FencedError, NotOwnedError, HandlerError, DeserializeError, TransactionError, QueueFullError,
  # StoppedError, ForkedError, UnsupportedError and InternalError.
  class Error
    # The kind as a symbol, such as +:timeout+.
    attr_reader :kind

    # Kafka's error code where there is one; negative codes are local to librdkafka.
    attr_reader :code

    # The status with which a program should end that ends with this error: 2 when the stop was forced, 3 when the parent of
    # the process is gone, else 1.
    attr_reader :exit_code

    def initialize(message = nil, kind: nil, code: nil, retriable: false, fatal: false, exit_code: 1)
      super(message)
      @exit_code = exit_code
      @kind = kind
      @code = code
      @retriable = retriable
      @fatal = fatal
    end

    # Whether the same call may succeed later.
    def retriable?
      @retriable
    end

    # Whether the object that raised it cannot be used any more.
    def fatal?
      @fatal
    end
  end
end
