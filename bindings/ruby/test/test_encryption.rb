# frozen_string_literal: true

# Payloads that are sealed by a producer and opened for a consumer.
class TestEncryption < KarafkaTest
  PUBLIC = "MCowBQYDK2VuAyEA+ufA5eX5ckPSo9tlvFqt7KvRRVQEJO5aCARfVTyGh1c="
  PRIVATE = "MC4CAQAwBQYDK2VuBCIEIOCjJuRutRJpnyn4Loe08m8YXhA/s4Ef06pYOdMcW9NU"
  FOREIGN = "MCowBQYDK2VuAyEA/03PJwuexl9phcLcw5iaS24ik7Qo6iCNce6H8YJszSw="

  def sealing(id = "main", key = PUBLIC)
    LibKarafka::Producer.new(bootstrap_servers: ADDRESS, encryption_keys: { id => key })
  end

  def start(topic, **options)
    seen = Queue.new
    app = new_app
    app.topic(topic, retry_backoff: 1, retry_backoff_max: 5, **options) do |messages|
      messages.each { |message| seen << [message.payload, message.raw_payload, message.tombstone?, message.headers.to_h] }
    end
    app.start
    seen
  end

  def test_handlers_get_what_was_sealed_and_what_does_not_open_goes_to_the_dead_letters
    topic, dead = new_topic, new_topic
    producer = sealing
    [["one", { "own" => "clear" }], [nil, {}], ["", {}]].each do |payload, headers|
      producer.produce_sync(topic: topic, payload: payload, headers: headers)
    end
    sealing("main", FOREIGN).produce_sync(topic: topic, payload: "foreign")
    producer.produce_sync(topic: topic, payload: "two")
    opened = take(start(topic, encryption: { keys: { main: PRIVATE } }, dead_letter_queue: { topic: dead, max_retries: 1 }), 4)
    assert_equal ["one", nil, "", "two"], opened.map(&:first)
    assert_equal ["one", nil, "", "two"], opened.map { |row| row[1] }
    assert_equal [false, true, false, false], opened.map { |row| row[2] }
    assert_equal %w[own encryption_version encryption_algorithm encryption_key_id encryption_key], opened.first.last.keys
    sealed = take(start(topic), 4).map(&:first)
    assert_equal 3 + 28, sealed.first.bytesize
    letter = take(start(dead), 1).first
    assert_equal sealed[3], letter.first
    assert_equal "DecryptionError", letter.last["error_class"]
  end

  def test_a_reader_opens_what_was_sealed_and_what_does_not_open_is_an_error_in_its_place
    topic = new_topic
    sealing.produce_sync(topic: topic, payload: "one")
    sealing("main", FOREIGN).produce_sync(topic: topic, payload: "foreign")
    sealing.produce_sync(topic: topic, payload: "two")
    LibKarafka::Reader.open(topic, bootstrap_servers: ADDRESS, encryption: { keys: { main: PRIVATE } }) do |reader|
      seen = []
      error = assert_raises(LibKarafka::DeserializeError) { reader.each { |message| seen << message.payload } }
      assert_match(/id main does not open the record.*offset: 1/m, error.message)
      assert_equal ["one"], seen
      assert_equal ["two"], reader.map(&:payload)
    end
    sealed = LibKarafka::Reader.open(topic, bootstrap_servers: ADDRESS) { |reader| reader.map { |message| message.payload.bytesize } }
    assert_equal [31, 35, 31], sealed
  end

  def test_keys_are_in_no_error
    error = assert_raises(LibKarafka::ConfigError) { sealing("main", PRIVATE) }
    assert_includes error.message, 'encryption_keys["main"]: it is a private key'
    refute_includes error.message, PRIVATE[20..40]
    error = assert_raises(LibKarafka::ConfigError) { new_app.topic("t", encryption_keys: PRIVATE) { nil } }
    refute_includes error.message, PRIVATE[20..40]
  end
end
