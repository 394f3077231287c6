"""Buffer, middleware, partitioner, partition keys, labels, variants, events, and the producer for tests."""

from __future__ import annotations

from typing import Any

import pytest

import libkarafka
from conftest import Place, Program


def test_a_testing_producer_keeps_what_it_is_given() -> None:
    testing = libkarafka.Producer.testing(partitions=3)
    report = testing.produce_sync("t", "x", "k", headers=[("a", "1"), ("a", "2")], label="first")
    assert report.offset == 0 and report.partition in range(3)
    testing.produce_many_sync([{"topic": "t", "value": None, "key": "k"}])
    first, second = testing.recorded
    assert (first["value"], first["key"], first["label"]) == (b"x", b"k", "first")
    assert first["headers"] == [("a", b"1"), ("a", b"2")]
    assert (second["value"], second["offset"], second["partition"]) == (None, 1, report.partition)
    testing.clear_recorded()
    assert testing.recorded == []
    testing.fail_next("QueueFull", "planted")
    with pytest.raises(libkarafka.QueueFullError, match="planted"):
        testing.produce("t", "x")
    with pytest.raises(ValueError, match="no kind"):
        testing.fail_next("Nonsense")
    testing.close()


def test_only_a_testing_producer_records(place: Place) -> None:
    with pytest.raises(libkarafka.UnsupportedError):
        _ = place.producer.recorded


def test_the_buffer_is_flushed_in_order_and_keeps_what_failed() -> None:
    testing = libkarafka.Producer.testing()
    testing.buffer(topic="b", value="0")
    testing.buffer_many([{"topic": "b", "value": "1"}, {"topic": "b", "value": "2"}])
    with pytest.raises(libkarafka.ConfigError):
        testing.buffer(topic="b", value="x", timestamp=0)
    testing.fail_next("QueueFull")
    with pytest.raises(libkarafka.QueueFullError):
        testing.flush_buffer()
    assert testing.buffered == 3
    assert [delivery.wait().offset for delivery in testing.flush_buffer()] == [0, 1, 2]
    assert [record["value"] for record in testing.recorded] == [b"0", b"1", b"2"]
    testing.buffer(topic="b", value="3")
    assert testing.clear_buffer() == 1


def test_middleware_comes_before_the_partitioner() -> None:
    def stamp(record: dict[str, Any]) -> dict[str, Any]:
        return record | {"headers": {"stamp": "1"}}

    def guard(record: dict[str, Any]) -> dict[str, Any]:
        if record["value"] == "no":
            raise ValueError("refused")
        return record

    def last(record: dict[str, Any], partitions: int) -> int | None:
        return partitions - 1 if record["headers"] else 0

    testing = libkarafka.Producer.testing(partitions=4, middleware=[stamp, guard], partitioner=last)
    assert testing.produce_sync("m", "x").partition == 3
    assert testing.produce_sync("m", "x", partition=1).partition == 1
    with pytest.raises(ValueError, match="refused"):
        testing.produce("m", "no")
    testing.buffer(topic="m", value="y")
    assert [delivery.wait().partition for delivery in testing.flush_buffer()] == [3]
    assert all(record["headers"] == [("stamp", b"1")] for record in testing.recorded)


def test_a_partition_key_takes_the_place_of_the_key(place: Place) -> None:
    place.create(8)
    assert place.producer.partitions(place.topic) == 8
    for key in ("a", "b", "customer-17"):
        expected = place.producer.produce_sync(place.topic, "x", key).partition
        assert place.producer.produce_sync(place.topic, "x", "other", partition_key=key).partition == expected
        (many,) = place.producer.produce_many([{"topic": place.topic, "value": "x", "partition_key": key}])
        assert many.wait(10).partition == expected


def test_labels_stay_with_the_delivery_and_its_error(place: Place) -> None:
    place.create()
    delivery = place.producer.produce(place.topic, "x", label="mine")
    assert (delivery.label, delivery.topic) == ("mine", place.topic)
    delivery.wait(10)
    lost = libkarafka.Producer(bootstrap_servers="127.0.0.1:1", close_timeout=0)
    delivery = lost.produce("nowhere", "x", label="order 7")
    with pytest.raises(libkarafka.TimeoutError, match="order 7"):
        lost.close()
    with pytest.raises(libkarafka.StoppedError, match="order 7"):
        delivery.wait(10)


async def test_a_record_that_is_given_up_ends_its_await() -> None:
    lost = libkarafka.Producer(bootstrap_servers="127.0.0.1:1", delivery_timeout="300ms", close_timeout=0)
    with pytest.raises(libkarafka.TimeoutError):
        await lost.produce("nowhere", "x")
    lost.close()


def test_a_variant_has_its_own_options_and_closes_with_its_producer(place: Place) -> None:
    place.create()
    own = libkarafka.Producer(bootstrap_servers=place.broker.address)
    quick = own.variant(acks="1", idempotence=False)
    quick.produce_sync(place.topic, "x")
    with pytest.raises(libkarafka.ConfigError):
        own.variant(acks="most")
    own.close()
    with pytest.raises(libkarafka.StoppedError):
        quick.produce(place.topic, "x")


def test_events_tell_the_way_of_each_record(place: Place) -> None:
    place.create()
    own = libkarafka.Producer(bootstrap_servers=place.broker.address)
    events = own.events("message.*", "producer.closed")
    own.produce_sync(place.topic, "secret", label="mine")
    own.close()
    told = list(events)
    assert sorted(event.name for event in told) == ["message.acknowledged", "message.produced_async", "producer.closed"]
    assert next(event for event in told if event.name == "message.acknowledged").fields["label"] == "mine"
    assert "secret" not in str(told)
    with pytest.raises(libkarafka.ConfigError):
        own.events("message.sent")


def test_a_child_opens_its_parents_producer_again() -> None:
    program = Program("""
        producer = libkarafka.Producer(bootstrap_servers=broker.bootstrap_servers)
        producer.produce_sync("t", "parent", partition=0)
        child = os.fork()
        if child == 0:
            try:
                producer.produce("t", "x")
            except libkarafka.ForkedError:
                with producer.reopen() as again:
                    print("child", again.produce_sync("t", "child", partition=0).offset, flush=True)
            os._exit(7)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("parent", producer.produce_sync("t", "again", partition=0).offset)
        sys.exit(status)
    """)
    status, out, errors = program.end()
    assert status == 7, errors
    assert "child 1" in out and "parent 2" in out


def test_wrong_records_are_refused(place: Place) -> None:
    with pytest.raises(libkarafka.ConfigError, match="timestamp of 0"):
        place.producer.produce(place.topic, "x", timestamp=0)
    with pytest.raises(TypeError, match="paylod"):
        place.producer.produce_many([{"topic": "t", "paylod": "y"}])  # type: ignore[typeddict-unknown-key]


@pytest.mark.parametrize("hooks", [{"partitioner": 3}, {"middleware": [len, None]}, {"middleware": 5}, {"middleware": len}])
def test_hooks_that_cannot_be_called_are_refused_at_once(hooks: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        libkarafka.Producer.testing(**hooks)
