"""Reading without a group."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

import pytest

import libkarafka
from conftest import Place, Program


def read(place: Place, *topics: Any, **options: Any) -> libkarafka.Reader:
    return libkarafka.Reader(*topics, bootstrap_servers=place.broker.address, **options)


def values(reader: libkarafka.Reader) -> list[str]:
    return [message.value.decode() for message in reader if message.value is not None]


def test_it_reads_to_the_end_in_order_from_every_kind_of_place(place: Place) -> None:
    place.create(1)
    place.fill(20)
    everything = [str(n) for n in range(20)]
    for start, expected in [
        ("earliest", everything),
        (15, everything[15:]),
        (-3, everything[-3:]),
        (-100, everything),
        ("latest", []),
    ]:
        with read(place, place.topic, start=start) as reader:
            assert values(reader) == expected, start
    reader = read(place, place.topic)
    assert next(reader).value == b"0"
    assert next(reader).value == b"1"


def test_partitions_can_have_places_of_their_own(place: Place) -> None:
    place.create(2)
    for partition in (0, 1):
        place.fill(10, partition=partition)
    reader = read(place, {place.topic: {0: 8, 1: -1}})
    assert sorted((message.partition, message.offset) for message in reader) == [(0, 8), (0, 9), (1, 9)]
    first, second = sorted(reader.places)
    assert first == libkarafka.Place(place.topic, 0, 8, 10, 10, True)
    assert second.start == 9 and second.is_done
    assert [message.partition for message in read(place, place.topic, start=-2, partitions=[1])] == [1, 1]


def test_batches_are_read_and_partitions_left(place: Place) -> None:
    place.create(2)
    for partition in (0, 1):
        place.fill(3, partition=partition)
    reader = read(place, place.topic)
    assert reader.stop_partition(place.topic, 0)
    assert not reader.stop_partition(place.topic, 0)
    assert [value for batch in reader.batches() for value in batch.values()] == [b"0", b"1", b"2"]
    assert reader.read() is None


def test_forever_waits_for_what_comes(place: Place) -> None:
    place.create(1)
    reader = read(place, place.topic, start="latest", until="forever")
    with pytest.raises(libkarafka.TimeoutError):
        reader.read(timeout=0.2)
    got: list[bytes | None] = []
    thread = threading.Thread(target=lambda: got.append(next(reader).value))
    thread.start()
    place.fill(1)
    thread.join(15)
    assert got == [b"0"]
    reader.close()
    reader.close()
    with pytest.raises(libkarafka.StoppedError):
        reader.read()


def test_ctrl_c_ends_a_wait() -> None:
    program = Program("""
        reader = libkarafka.Reader("t", start="latest", until="forever", bootstrap_servers="embedded://")
        try:
            print("waiting", flush=True)
            next(reader)
        except KeyboardInterrupt:
            print("interrupted")
            fill(1)
            print(next(reader).value)
    """)
    program.read_until("waiting")
    program.process.send_signal(2)
    status, out, errors = program.end()
    assert (status, out.split()) == (0, ["interrupted", "b'0'"]), errors


def test_what_cannot_be_read_is_refused(place: Place) -> None:
    place.create(1)
    for given in [{"start": 7}, {"partitions": [9]}, {"concurrency": 1}]:
        with pytest.raises(libkarafka.ConfigError):
            read(place, place.topic, **given)
    with pytest.raises(libkarafka.ConfigError):
        read(place)
    if isinstance(place.broker, libkarafka.EmbeddedBroker):
        with pytest.raises(libkarafka.UnsupportedError):
            read(place, place.topic, start=datetime.now(timezone.utc))
    for start in ("middle", datetime.now(), True):
        with pytest.raises(ValueError):
            read(place, place.topic, start=start)
    with pytest.raises((libkarafka.TimeoutError, libkarafka.BrokerError)):
        libkarafka.Reader("t", bootstrap_servers="127.0.0.1:1", timeout="200ms")
