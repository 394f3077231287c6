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

    def inspect
      "#<#{self.class} #{topic}/#{partition}, #{size} from #{first_offset}>"
    end
  end
end
