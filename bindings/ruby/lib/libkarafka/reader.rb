# frozen_string_literal: true

module LibKarafka
  # Reads topics without a group: nothing is joined or committed, and no right is needed but to read the topics. An Enumerable of
  # Messages: +LibKarafka::Reader.new("orders", from: -10).map(&:payload)+. One thread reads at a time.
  class Reader
    include Enumerable

    # How far one partition is read: where reading began, the offset of the next message at the earliest, where the log ended when the
    # reader was opened, and whether everything that was asked for is read.
    Place = Struct.new(:topic, :partition, :start, :next_offset, :end_offset, :done) do
      alias_method :done?, :done
    end

    # Finds out where everything begins and ends, and begins to fetch. Topics are names, or Hashes of names and places: of a place for
    # the whole topic, or of a Hash of partitions and places. +from+ is the place of the topics that are given by name, in the
    # +partitions+ (all of them when there are none). A place is +:earliest+, +:latest+, an offset, a negative offset (so many before
    # the end), or a Time. Other options are those of docs/configuration.md for a reader.
    #
    # Raises ConfigError for a bad option, a partition that does not exist or an offset beyond the end of its log; BrokerError when a
    # topic does not exist; AuthError without the right to read it; TimeoutError when no broker answered; UnsupportedError for a
    # time on the embedded broker.
    def initialize(*topics, from: :earliest, partitions: [], **options)
      selections = topics.flat_map { |topic| topic.is_a?(Hash) ? places_in(topic) : [select(topic, partitions, from)] }
      @native = Native::Reader.open(selections, options)
    end

    # Calls the block with a reader, and closes it.
    def self.open(*topics, **options)
      reader = new(*topics, **options)
      return reader unless block_given?

      begin
        yield reader
      ensure
        reader.close
      end
    end

    # Calls the block with each message, until everything was read: those of a partition in order, none twice. Goes on where it was
    # when it is called again. Raises as #read; it can go on after each error.
    def each(&block)
      return enum_for(:each) unless block

      each_batch { |messages| messages.each(&block) }
    end

    # Calls the block with Messages of one partition each, until everything was read: faster than #each.
    def each_batch
      return enum_for(:each_batch) unless block_given?

      while (messages = read)
        yield messages
      end
      self
    end

    # Waits for the next Messages, of one partition; +nil+ when everything was read. Waits so many seconds, or, without a number, as
    # the options say: +timeout+ seconds without a message, or, with <tt>until: "forever"</tt>, as long as it takes.
    #
    # Raises TimeoutError when nothing came in time; BrokerError when messages were deleted before they were read (reading goes on
    # with the oldest that is left) or a broker refuses; AuthError when the right was taken away; DeserializeError for a message
    # that is encrypted and does not open, which is passed over; StoppedError when it is closed or another thread reads;
    # ForkedError in a child process.
    def read(timeout: nil)
      @native.next(timeout)
    end

    # Where each partition is: Places.
    def places
      @native.places.map { |values| Place.new(*values).freeze }
    end

    # Reads no more of a partition; what was fetched of it already is dropped. Returns whether it was being read.
    def stop_partition(topic, partition)
      @native.stop_partition(topic.to_s, partition)
    end

    # Disconnects. Messages that were read may be used on. Closing twice is no error.
    def close
      @native.close
      nil
    end

    private

    def places_in(topics)
      topics.flat_map do |topic, places|
        next [select(topic, [], places)] unless places.is_a?(Hash)

        places.map { |partition, place| select(topic, [partition], place) }
      end
    end

    def select(topic, partitions, from)
      word, number =
        case from
        when :earliest, :latest then [from.to_s, 0]
        when Integer then ["offset", from]
        when Time then ["time", (from.to_r * 1000).floor]
        else raise ArgumentError, "reading begins at :earliest, :latest, an offset or a Time, not #{from.inspect}"
        end
      [topic.to_s, Array(partitions), word, number]
    end
  end
end
