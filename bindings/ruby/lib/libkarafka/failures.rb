# frozen_string_literal: true

module LibKarafka
  # What a topic is told about exceptions, beside the options of all languages: by their classes, or by a strategy.
  class Failures # :nodoc:
    def initialize
      @retry_on = nil
      @discard_on = []
      @strategy = nil
    end

    attr_writer :strategy

    def retry_on(classes)
      @retry_on = (@retry_on || []) + check(:retry_on, classes)
    end

    def discard_on(classes)
      @discard_on += check(:discard_on, classes)
    end

    # What is to happen after an exception: +:retry+, +:dispatch+, the name of a topic to dispatch to, +:discard+, or +nil+
    # to leave it to the options. +messages+ are given where a strategy is to be asked, about the only one of them.
    def verdict(exception, messages, earlier)
      return :discard if @discard_on.any? { |found| found === exception }
      return :dispatch if @retry_on&.none? { |found| found === exception }
      return unless @strategy && messages

      read(@strategy.call(messages.first, exception, earlier))
    rescue StandardError => e
      warn "libkarafka: a strategy failed, its message is tried again: #{e.full_message}"
      :retry
    end

    private

    ANSWERS = ":retry, :dispatch, [:dispatch, topic], :skip or nil"
    private_constant :ANSWERS

    def read(answer)
      case answer
      when nil, :retry, :dispatch then answer
      when :skip then :discard
      else
        word, topic = answer
        raise ArgumentError, "a strategy returns #{ANSWERS}, not #{answer.inspect}" unless word == :dispatch && topic

        topic.to_s
      end
    end

    def check(name, classes)
      classes.flatten.each do |found|
        next if found.is_a?(Module)

        raise ConfigError.new("#{name} takes classes of exceptions, not #{found.inspect}", kind: :config)
      end
    end
  end
  private_constant :Failures
end
