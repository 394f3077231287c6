# frozen_string_literal: true

module LibKarafka
  # What one call of a consumer gets: messages of one partition, those of a virtual partition in order. Message objects are
  # made when somebody looks at them; +payloads+, +keys+ and +offsets+ make none.
  class Messages
    include Enumerable

    alias length size
    alias raw_payloads payloads
    alias raw_keys keys

    def each
      return enum_for(:each) { size } unless block_given?

      # Not Array#each: calling the block from Ruby is cheaper than from C.
      all = to_a
      count = all.size
      index = 0
      while index < count
        yield all[index]
        index += 1
      end
      self
    end

    def [](index, *length)
      return to_a[index, *length] unless length.empty? && index.is_a?(Integer)

      index += size if index.negative?
      at(index) if index >= 0 && index < size
    end

    def first(*count)
      count.empty? ? self[0] : super
    end

    def last(*count)
      count.empty? ? self[-1] : to_a.last(*count)
    end

    def empty?
      size.zero?
    end

    def count(*arguments, &block)
      arguments.empty? && block.nil? ? size : super
    end

    # What is known of the messages as a whole, as of now: a Metadata.
    def metadata
      metadata = Metadata.new(*metadata_values)
      metadata.created_at &&= Time.at(0, metadata.created_at, :millisecond).utc
      metadata.scheduled_at = Time.at(0, metadata.scheduled_at, :millisecond).utc
      metadata.freeze
    end

    def seek(target, timeout) # :nodoc:
      case target
      when :earliest, :latest then seek_to(target.to_s, 0, timeout)
      when Time then seek_to("time", (target.to_r * 1000).floor, timeout)
      when Integer then seek_to("offset", target, timeout)
      else raise ArgumentError, "seek takes an offset, a Time, :earliest or :latest, not #{target.inspect}"
      end
    end

    # Offsets, sizes, times and lags of the messages of a call. +bytes+ are those of keys and payloads; +created_at+ is when
    # the last message was made or appended, +scheduled_at+ when the messages were put together; lags are in seconds,
    # +offset_lag+ counts the offsets behind the last message as far as the last fetch told. What is unknown is nil.
    Metadata = Struct.new(:first_offset, :last_offset, :size, :bytes, :created_at, :scheduled_at, :consumption_lag,
                          :processing_lag, :offset_lag)

    def inspect
      "#<#{self.class} #{topic}/#{partition}, #{size} from #{first_offset}>"
    end
  end
end
