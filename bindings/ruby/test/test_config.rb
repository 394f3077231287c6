# frozen_string_literal: true

# Options by name, checked by the core.
class TestConfig < KarafkaTest
  def refusal(&block)
    assert_raises(LibKarafka::ConfigError, &block).message
  end

  def test_all_problems_are_told_at_once
    message = refusal { LibKarafka::App.new(concurency: 5, commit_interval: 0.5, group: "", kafka: { "enable.auto.commit" => true }) }
    ["did you mean `concurrency`?", "commit_interval", "group", "enable.auto.commit"].each { |part| assert_includes message, part }
  end

  def test_topics_are_checked_when_they_are_added
    app = new_app
    message = refusal { app.topic("orders", max_message: 5, window: 0) { |_| nil } }
    ["did you mean `max_messages`?", "window", "orders"].each { |part| assert_includes message, part }
    assert_includes refusal { app.topic("no such name!") { |_| nil } }, "no such name!"
    assert_includes refusal { app.topic("orders") }, "consumer"
    assert_includes refusal { app.topic("orders", consumer: String) }, "BaseConsumer, or a block that takes messages, not String"
    assert_includes refusal { app.topic("orders", consumer: Class.new(LibKarafka::BaseConsumer)) { |_| nil } }, "one of them"
    assert_includes refusal { app.topic("orders", &->(_one, _other) {}) }, "one parameter, not 2"
    assert_includes refusal { app.topic("orders", virtual_partitions: "sideways") { |_| nil } }, "sideways"
    assert_includes refusal { app.start }, "topic"
    app.topic("orders") { |_| nil }
    assert_includes refusal { app.topic("orders") { |_| nil } }, "orders"
  end

  def test_values_of_every_ruby_type
    app = LibKarafka::App.new(bootstrap_servers: "a:1", group_protocol: :classic, commit_interval: "2s", concurrency: 3,
                              client_id: nil, kafka: { "security.protocol": :plaintext, "socket.keepalive.enable" => true })
    app.topic("a", retry_backoff_factor: 1.5, manual_offset_management: true, virtual_partitions: 7) { |_| nil }
    app.topic("b", virtual_partitions: true) { |_| nil }
    [2**70, -1, [1], Object.new, 1r].each do |value|
      assert_includes refusal { LibKarafka::App.new(concurrency: value) }, "concurrency"
    end
  end

  def test_virtual_partitions_are_split_one_way_only
    app = new_app
    app.topic("a") do
      consumer LibKarafka::BaseConsumer
      virtual_partitions
    end
    app.topic("b", consumer: LibKarafka::BaseConsumer) { virtual_partitions max: 5 }
    app.topic("c", consumer: LibKarafka::BaseConsumer) { virtual_partitions :round_robin }
    refusal { app.topic("d") { virtual_partitions partitioner: ->(_) { 1 }, max: 3 } }
  end

  def test_secrets_are_not_repeated
    message = refusal { LibKarafka::App.new(kafka: { "sasl.password" => "swordfish", "sasl.usrname" => "x" }, concurrency: 0) }
    refute_includes message, "swordfish"
  end

  def test_every_option_has_its_setter
    config = LibKarafka::Config.new
    LibKarafka.options(:app).each do |option|
      config.public_send("#{option[:name]}=", 1)
      assert_equal 1, config.public_send(option[:name])
      refute_empty option[:doc]
    end
    topic = LibKarafka::Routing::Topic.new("x", consumer: LibKarafka::BaseConsumer)
    LibKarafka.options(:topic).each { |option| assert_respond_to topic, option[:name] }
    assert_raises(ArgumentError) { LibKarafka.options(:nothing) }
  end

  def test_a_configuration_shows_no_values
    settings = { "sasl.password" => "hunter2" }
    config = LibKarafka::Config.new({ group: "g", kafka: settings }, { kafka: settings })
    assert_includes config.inspect, "kafka"
    refute_includes config.inspect, "hunter2"
  end

  def test_a_librdkafka_setting_that_does_not_exist_is_refused
    assert_includes refusal { LibKarafka::App.new(kafka: { "fetch.wait.mx.ms" => 5 }) }, "fetch.wait.max.ms"
  end
end
