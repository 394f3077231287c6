"""Producing: waited for, awaited, many at once; and everything that cannot be produced."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timezone
from typing import Any

import pytest

import libkarafka
from conftest import Place, eventually


def test_a_delivery_says_where_the_record_is(place: Place) -> None:
    place.create(3)
    first = place.producer.produce_sync(place.topic, b"1", partition=2)
    second = place.producer.produce(place.topic, b"2", partition=2)
    report = second.wait(10)
    assert (first.topic, first.partition, first.offset) == (place.topic, 2, 0)
    assert isinstance(first.timestamp, int)
    assert report.offset == 1
    assert second.done() and second.wait(0) == report
    assert len({report, second.wait()}) == 1
    assert repr(report) == f"<libkarafka.DeliveryReport {place.topic}/2@1>"


def test_equal_keys_go_to_one_partition(place: Place) -> None:
    place.create(4)
    partitions = {place.producer.produce_sync(place.topic, str(n), "same").partition for n in range(8)}
    assert len(partitions) == 1


@pytest.mark.parametrize(
    "value",
    [b"text", "text", bytearray(b"text"), memoryview(b"text"), memoryview(b"t.e.x.t.")[::2]],
    ids=["bytes", "str", "bytearray", "memoryview", "every second byte"],
)
def test_anything_bytes_like_is_a_value(place: Place, value: Any) -> None:
    place.create()
    place.producer.produce_sync(place.topic, value, value, headers={"h": value})
    app, seen = place.app(), []

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        seen.append((batch[0].value, batch[0].key, batch[0].headers))
        app.stop()

    app.run()
    assert seen == [(b"text", b"text", [("h", b"text")])]


def test_many_are_sent_in_order(place: Place) -> None:
    place.create()
    deliveries = place.producer.produce_many({"topic": place.topic, "value": str(n)} for n in range(1000))
    assert [delivery.wait(10).offset for delivery in deliveries] == list(range(1000))
    assert place.producer.flush(10) == 0
    assert place.producer.in_flight == 0


def test_many_deliveries_are_a_sequence(place: Place) -> None:
    place.create()
    records: list[dict[str, Any]] = [{"topic": place.topic, "value": str(n).encode(), "key": "k"} for n in range(700)]
    records[300] = {"topic": place.topic, "key": None, "headers": {"h": "v"}}
    records[301] = {"topic": place.topic}
    deliveries = place.producer.produce_many(records)  # type: ignore[arg-type]
    assert [report.offset for report in deliveries.wait(10)] == list(range(700))
    assert (len(deliveries), deliveries[-1].wait().offset, deliveries[5].topic) == (700, 699, place.topic)
    assert [delivery.wait().offset for delivery in deliveries[298:302]] == [298, 299, 300, 301]
    with pytest.raises(IndexError):
        deliveries[700]
    assert len(place.producer.produce_many([])) == 0


async def test_a_delivery_can_be_awaited(place: Place) -> None:
    place.create()
    report = await place.producer.produce(place.topic, b"1")
    assert report.offset == 0
    delivery = place.producer.produce(place.topic, b"2")
    assert (await delivery).offset == 1
    assert (await delivery).offset == 1, "a second await"
    reports = await asyncio.gather(*(place.producer.produce(place.topic, str(n)) for n in range(500)))
    assert [report.offset for report in reports] == list(range(2, 502))


async def test_a_cancelled_await_harms_nothing(place: Place) -> None:
    place.create()
    lazy = libkarafka.Producer(bootstrap_servers=place.broker.address, linger="200ms")
    delivery = lazy.produce(place.topic, b"1")

    async def wait() -> libkarafka.DeliveryReport:
        return await delivery

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), 0.01)
    assert (await asyncio.wait_for(wait(), 10)).offset == 0
    await asyncio.to_thread(lazy.close)


def test_awaiting_in_several_loops(place: Place) -> None:
    place.create()
    delivery = libkarafka.Producer(bootstrap_servers=place.broker.address, linger="100ms").produce(place.topic, b"1")
    offsets: list[int] = []

    async def wait() -> None:
        offsets.append((await delivery).offset)

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert offsets == [0, 0, 0, 0]


def test_a_wait_ends_in_time(place: Place) -> None:
    place.create()
    with libkarafka.Producer(bootstrap_servers=place.broker.address, linger="500ms") as lazy:
        delivery = lazy.produce(place.topic, b"1")
        assert not delivery.done()
        with pytest.raises(libkarafka.TimeoutError) as caught:
            delivery.wait(0.01)
        assert caught.value.retriable and isinstance(caught.value, TimeoutError)
        assert delivery.wait(10).offset == 0


def test_a_record_that_is_given_up_raises_its_reason(place: Place) -> None:
    away = libkarafka.Producer(bootstrap_servers="127.0.0.1:9", delivery_timeout=300, close_timeout=100)
    delivery = away.produce("t", b"1")
    with pytest.raises(libkarafka.Error) as caught:
        delivery.wait(15)
    assert caught.value.kind == "Timeout" and caught.value.code is not None

    async def wait() -> None:
        await away.produce("t", b"2")

    with pytest.raises(libkarafka.TimeoutError):
        asyncio.run(wait())
    away.close()


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({"value": 5}, TypeError),
        ({"value": b"", "key": 1.5}, TypeError),
        ({"value": b"", "headers": {"h": 1}}, TypeError),
        ({"value": b"", "headers": 5}, TypeError),
        ({"value": b"", "headers": [("a",)]}, (TypeError, ValueError)),
        ({"value": b"", "headers": {1: b""}}, TypeError),
        ({"value": b"", "headers": {"a\0b": b""}}, libkarafka.ConfigError),
        ({"value": "\ud800"}, UnicodeEncodeError),
        ({"value": b"", "partition": -1}, libkarafka.ConfigError),
        ({"value": b"", "partition": 1 << 40}, OverflowError),
        ({"value": b"", "timestamp": "now"}, TypeError),
        ({"value": b"", "timestamp": datetime(2024, 1, 1)}, ValueError),
        ({"value": b"x" * 2_000_000}, libkarafka.ConfigError),
        ({"value": b"", "topic": ""}, libkarafka.ConfigError),
        ({"value": b"", "topic": "no spaces"}, libkarafka.ConfigError),
        ({"value": b"", "topic": 5}, TypeError),
    ],
)
def test_what_cannot_be_produced_is_refused_at_once(place: Place, record: dict[str, Any], error: Any) -> None:
    record = {"topic": place.topic, **record}
    with pytest.raises(error):
        place.producer.produce(**record)
    with pytest.raises(error):
        place.producer.produce_many([record])


def test_wrong_records_among_many_are_named(place: Place) -> None:
    with pytest.raises(TypeError, match="tpoic"):
        place.producer.produce_many([{"tpoic": "t"}])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="needs"):
        place.producer.produce_many([{"value": b""}])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="dict"):
        place.producer.produce_many([("t", b"")])  # type: ignore[list-item]
    assert place.producer.in_flight == 0


def test_after_closing_there_is_an_error(place: Place) -> None:
    place.create()
    with libkarafka.Producer(bootstrap_servers=place.broker.address) as producer:
        producer.produce(place.topic, b"1")
    producer.close()
    with pytest.raises(libkarafka.StoppedError):
        producer.produce(place.topic, b"2")
    assert producer.flush() == 0


def test_a_full_queue_waits_and_then_says_so(place: Place) -> None:
    away = libkarafka.Producer(
        bootstrap_servers="127.0.0.1:9",
        queue_full_timeout=50,
        close_timeout=10,
        kafka={"queue.buffering.max.messages": 10},
    )
    with pytest.raises(libkarafka.QueueFullError) as caught:
        for n in range(100):
            away.produce("t", str(n))
    assert caught.value.retriable
    with pytest.raises(libkarafka.TimeoutError, match="10 records"):
        away.close()


def test_a_producer_without_a_name_delivers_what_it_has(place: Place) -> None:
    place.create()
    delivery = libkarafka.Producer(bootstrap_servers=place.broker.address).produce(place.topic, b"1")
    eventually(delivery.done)
    assert delivery.wait(0).offset == 0


def test_many_threads_may_share_a_producer(place: Place) -> None:
    place.create()
    offsets: list[int] = []

    def produce() -> None:
        offsets.extend(place.producer.produce_sync(place.topic, str(n)).offset for n in range(50))

    threads = [threading.Thread(target=produce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(offsets) == list(range(400))
