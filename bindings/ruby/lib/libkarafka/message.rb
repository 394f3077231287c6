# frozen_string_literal: true

module LibKarafka
  # One message. Strings are made at the first look, are tagged UTF-8 and not checked; +String#b+ gives the bytes.
  # It may be kept for longer than the call that got it.
  class Message
    alias raw_payload payload
    alias raw_key key

    # Names and values; a name that repeats has an Array of its values.
    def headers
      @headers ||= messages.headers_at(index)
    end
    alias raw_headers headers

    # Names and values in their order: an Array of pairs, which keeps the place of a name that repeats.
    def header_pairs
      @header_pairs ||= messages.header_pairs_at(index)
    end

    # When it was made or appended, as a Time with milliseconds; +nil+ in topics of very old brokers.
    def timestamp
      return @timestamp if defined?(@timestamp)

      milliseconds = messages.timestamp_at(index)
      @timestamp = milliseconds && Time.at(0, milliseconds, :millisecond).utc
    end

    # Whether it was tried before since this process has its partition; #attempt counts from 1.
    def retrying?
      attempt > 1
    end

    def topic
      messages.topic
    end

    def partition
      messages.partition
    end

    def mark(prefix) # :nodoc:
      messages.mark(index, prefix)
    end

    def mark_with(text) # :nodoc:
      messages.mark_with(index, text)
    end

    def commit(timeout) # :nodoc:
      messages.commit(timeout)
    end

    # Names the message; never shows its payload or key.
    def inspect
      "#<#{self.class} #{topic}/#{partition}@#{offset}>"
    end
  end
end
