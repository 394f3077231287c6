# frozen_string_literal: true

# Topics by a Regexp, and options that are lists.
class TestPatterns < KarafkaTest
  def test_a_regexp_reads_every_topic_whose_whole_name_matches
    stem = unique("pattern")
    ["#{stem}-a", "#{stem}-B", "x#{stem}-c"].each do |topic|
      broker.create_topic(topic)
      produce(topic, [[nil, topic]])
    end
    seen = Queue.new
    app = new_app
    app.topic(/#{stem}-[ab]/i) { |messages| messages.each { |message| seen << [messages.topic, message.payload] } }
    app.start
    assert_equal ["#{stem}-B", "#{stem}-a"], take(seen, 2).map(&:first).sort
    app.stop
    assert_empty seen
  end

  def test_an_option_that_ruby_alone_has_is_refused
    error = assert_raises(LibKarafka::ConfigError) { new_app.topic(/a b/x) { nil } }
    assert_includes error.message, "the option i only"
  end

  def test_a_list_names_partitions
    topic = new_topic(partitions: 3)
    3.times { |partition| produce(topic, [[nil, partition.to_s]], partition: partition) }
    seen = Queue.new
    app = new_app
    app.topic(topic, assign: [0, 2]) { |messages| seen << messages.partition }
    app.start
    assert_equal [0, 2], take(seen, 2).sort
    app.stop
    assert_empty seen
  end
end
