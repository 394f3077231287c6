# frozen_string_literal: true

# What the embedded broker can be asked. Everything else is asked of a real one in tests/behaviour.
class TestAdmin < KarafkaTest
  def admin
    @@admin ||= LibKarafka::Admin.new(bootstrap_servers: ADDRESS)
  end

  def test_topics_are_made_found_and_measured
    name = unique("made")
    assert_nil admin.create_topic(name, partitions: 2)
    topic = admin.topic(name)
    assert_equal [name, [0, 1]], [topic.name, topic.partitions.map(&:partition)]
    assert_equal admin.cluster.brokers.map(&:id), topic.partitions.first.replicas
    assert_includes admin.topics.map(&:name), name
    produce(name, [["k", "v"]], partition: 1)
    marks = admin.watermarks(name).map { |mark| [mark.partition, mark.first, mark.end] }
    assert_equal [[0, 0, 0], [1, 0, 1]], marks
    assert topic.frozen?
  end

  def test_one_of_two_fails_and_only_that_one
    name, other = unique("made"), unique("other")
    admin.create_topic(name)
    first, second = admin.create_topics([{ name: name }, { name: other, partitions: 3 }])
    assert_equal [name, false, other, true], [first.item, first.ok?, second.item, second.ok?]
    error = assert_raises(LibKarafka::BrokerError) { first.get }
    assert_equal [:broker, 36], [error.kind, error.code]
    assert_equal 3, admin.topic(other).partitions.size
  end

  def test_topics_become_as_they_are_declared
    name = unique("declared")
    declared = [{ name: name, partitions: 2 }, { name: unique("absent"), is_absent: true }]
    steps = admin.plan(declared)
    assert_equal [[:create, "create #{name}, 2 partitions", false]],
                 (steps.map { |step| [step.kind, step.to_s, step.destructive?] })
    outcomes = admin.apply(steps)
    assert_equal [true, steps.first], [outcomes.first.ok?, outcomes.first.item]
    assert_empty admin.plan(declared)
    assert_empty admin.align([{ name: name }])
    gone = admin.plan([{ name: name, is_absent: true }])
    assert_predicate gone.first, :destructive?
    assert_instance_of LibKarafka::ConfigError, admin.apply(gone).first.error
    assert_instance_of LibKarafka::UnsupportedError, admin.apply(gone, allow_destruction: true).first.error
  end

  def test_what_cannot_be_is_refused
    [-> { admin.delete_topic("t") }, -> { admin.groups }, -> { admin.acls }, -> { admin.configs(topic: "t") },
     -> { admin.seek_group("g", new_topic, Time.now) }, -> { admin.truncate("t", { 0 => nil }) }].each do |call|
      assert_raises(LibKarafka::UnsupportedError, &call)
    end
    assert_raises(LibKarafka::BrokerError) { admin.topic(unique("nowhere")) }
    assert_raises(LibKarafka::ConfigError) { admin.create_topic("t", partitions: 0) }
    assert_raises(LibKarafka::ConfigError) { admin.configs(topic: "t", broker: 1) }
    assert_raises(LibKarafka::ConfigError) { admin.acls(resource: "user") }
    assert_raises(ArgumentError) { admin.delete_acls }
    assert_raises(ArgumentError) { admin.seek_group("g", "t", :middle) }
    assert_raises(LibKarafka::ConfigError) { LibKarafka::Admin.new(bootstrap_servers: ADDRESS, linger: 1) }
    error = assert_raises(LibKarafka::BrokerError) { LibKarafka::Admin.new(bootstrap_servers: "127.0.0.1:1", timeout: "300ms") }
    assert_includes error.message, "127.0.0.1:1"
  end

  def test_a_forked_child_is_refused
    admin.cluster
    read, write = IO.pipe
    child = fork do
      admin.cluster
    rescue LibKarafka::ForkedError
      write << "refused"
    ensure
      exit!(0)
    end
    write.close
    Process.wait(child)
    assert_equal "refused", read.read
  end
end
