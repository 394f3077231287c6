# frozen_string_literal: true

module LibKarafka
  # A virtual partition that waits for its turn: +topic+, +partition+, +virtual_partition+, how many +messages+ wait, how many
  # seconds its partition has +waited+, the topic's +priority+, and the +cost+ of a message in seconds, as far as measured.
  Candidate = Struct.new(:topic, :partition, :virtual_partition, :messages, :waited, :priority, :cost, :place)

  # The thread that asks a block whose turn it is.
  class Scheduler # :nodoc:
    def initialize(questions, block)
      @questions = questions
      @block = block
    end

    def start
      Thread.new { answer }.name = "karafka-choose"
    end

    private

    def answer
      while (columns = @questions.next)
        candidates = columns.each_with_index.map { |column, place| Candidate.new(*column, place) }
        begin
          @questions.answer(@block.call(candidates).map(&:place))
        rescue Exception => e # rubocop:disable Lint/RescueException
          @questions.fail(e.class.name.to_s, e.message.to_s)
        end
      end
    end
  end
  private_constant :Scheduler
end
