# frozen_string_literal: true

module LibKarafka
  # What a topic, or a class of consumers, says that it writes.
  module Outputs
    # Says that its calls write to these topics: each of them at least one message, where they are +required+, and more than
    # one, where they may be +multiple+. Takes names, or a Hash of names to these two. Called again, it adds to what was said.
    def produces(*topics, required: false, multiple: false)
      topics.flatten.each do |topic|
        given = topic.respond_to?(:to_hash) ? topic.to_hash : { topic => { required: required, multiple: multiple } }
        outputs_of_own.merge!(given.transform_keys(&:to_s))
      end
    end

    private

    def outputs_of_own
      @outputs ||= {}
    end
  end
end
