"""Payloads that are sealed by a producer and opened for a consumer."""

from __future__ import annotations

import threading

import pytest

import libkarafka

PUBLIC = "MCowBQYDK2VuAyEA+ufA5eX5ckPSo9tlvFqt7KvRRVQEJO5aCARfVTyGh1c="
PRIVATE = "MC4CAQAwBQYDK2VuBCIEIOCjJuRutRJpnyn4Loe08m8YXhA/s4Ef06pYOdMcW9NU"
FOREIGN = "MCowBQYDK2VuAyEA/03PJwuexl9phcLcw5iaS24ik7Qo6iCNce6H8YJszSw="


def _sealing(place, key=PUBLIC):
    return libkarafka.Producer(bootstrap_servers=place.broker.address, encryption_keys={"main": key})


def _read(place, topic, count, group, **options):
    """The first messages that an app of its own gets: values and headers."""
    seen, changed = [], threading.Condition()
    app = libkarafka.App(bootstrap_servers=place.broker.address, group=f"{place.group}-{group}")

    @app.consumer(topic, retry_backoff=1, retry_backoff_max=5, **options)
    def consume(batch):
        with changed:
            seen.extend((message.value, dict(message.headers)) for message in batch)
            changed.notify_all()

    app.start()
    with changed:
        assert changed.wait_for(lambda: len(seen) >= count, 30), seen
    app.stop()
    app.join(30)
    return seen


def test_handlers_get_what_was_sealed_and_what_does_not_open_goes_to_the_dead_letters(place):
    place.create(1)
    dead = f"{place.topic}-dead"
    place.broker.create_topic(dead, 1)
    with _sealing(place) as producer, _sealing(place, FOREIGN) as foreign:
        producer.produce(place.topic, "one", headers=[("own", b"clear")])
        producer.produce(place.topic, None)
        producer.produce(place.topic, b"").wait(10)
        foreign.produce(place.topic, "foreign").wait(10)
        producer.produce(place.topic, "two")
    options = {"encryption": {"keys": {"main": PRIVATE}}, "dead_letter_queue": {"topic": dead, "max_retries": 1}}
    opened = _read(place, place.topic, 4, "opens", **options)
    assert [value for value, _ in opened] == [b"one", None, b"", b"two"]
    names = ["own", "encryption_version", "encryption_algorithm", "encryption_key_id", "encryption_key"]
    assert list(opened[0][1]) == names
    sealed = _read(place, place.topic, 5, "looks")
    assert [value and len(value) for value, _ in sealed] == [31, None, 28, 35, 31]
    letter = _read(place, dead, 1, "buries")[0]
    assert letter[0] == sealed[3][0]
    assert letter[1]["error_class"] == b"DecryptionError"


def test_a_reader_opens_what_was_sealed_and_what_does_not_open_is_an_error_in_its_place(place):
    place.create(1)
    with _sealing(place) as producer, _sealing(place, FOREIGN) as foreign:
        producer.produce(place.topic, "one").wait(10)
        foreign.produce(place.topic, "foreign").wait(10)
        producer.produce(place.topic, "two").wait(10)
    address = place.broker.address
    with libkarafka.Reader(place.topic, bootstrap_servers=address, encryption={"keys": {"main": PRIVATE}}) as reader:
        assert next(reader).value == b"one"
        with pytest.raises(libkarafka.DeserializeError, match="id main does not open the record.*offset: 1"):
            next(reader)
        assert [message.value for message in reader] == [b"two"]
    with libkarafka.Reader(place.topic, bootstrap_servers=address) as reader:
        assert [len(message.value) for message in reader] == [31, 35, 31]


def test_keys_are_in_no_error(place):
    with pytest.raises(libkarafka.ConfigError, match="it is a private key") as refused:
        _sealing(place, PRIVATE)
    assert PRIVATE[20:40] not in str(refused.value)
    with pytest.raises(libkarafka.ConfigError) as refused:
        place.app().consumer(place.topic, encryption_keys=PRIVATE)(print)
    assert PRIVATE[20:40] not in str(refused.value)
