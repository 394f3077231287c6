"""Batches and messages: rows, columns and views, and how long they live."""

from __future__ import annotations

import copy
import gc
import pickle
from datetime import datetime, timedelta, timezone

import pytest

import libkarafka
from conftest import Place, eventually


def take(place: Place, count: int) -> list[libkarafka.Batch]:
    """Batches of a topic, kept beyond the call and beyond the app."""
    batches: list[libkarafka.Batch] = []
    app = place.app()

    @app.consumer(place.topic)
    def keep(batch: libkarafka.Batch) -> None:
        batches.append(batch)

    app.start()
    eventually(lambda: sum(map(len, batches)) >= count)
    app.stop()
    app.join(15)
    return batches


def one(place: Place, **record: object) -> libkarafka.Message:
    place.create()
    place.producer.produce(place.topic, **record).wait(10)  # type: ignore[arg-type]
    return take(place, 1)[0][0]


def test_a_message_has_what_was_produced(place: Place) -> None:
    # Of today: a Kafka deletes what is older than a week.
    at = datetime.now(timezone.utc).replace(microsecond=123000) - timedelta(hours=1)
    headers = [("trace", b"1"), ("trace", b"2"), ("empty", b""), ("none", None), ("text", "ä")]
    message = one(place, value=b"\x00value", key="ключ", headers=headers, timestamp=at, partition=0)
    assert message.value == b"\x00value"
    assert message.key == "ключ".encode()
    assert message.headers == [("trace", b"1"), ("trace", b"2"), ("empty", b""), ("none", None), ("text", "ä".encode())]
    assert message.timestamp == int(at.timestamp()) * 1000 + 123
    assert message.datetime == at
    assert (message.topic, message.partition, message.offset) == (place.topic, 0, 0)
    assert not message.tombstone
    assert message.value is message.value, "made anew at each look"


def test_nothing_and_empty_differ(place: Place) -> None:
    place.create()
    for value, key in [(None, None), (b"", b""), (None, b"k"), (b"v", None)]:
        place.producer.produce(place.topic, value, key, partition=0).wait(10)
    messages = [message for batch in take(place, 4) for message in batch]
    assert [(message.value, message.key) for message in messages] == [(None, None), (b"", b""), (None, b"k"), (b"v", None)]
    assert [message.tombstone for message in messages] == [True, False, True, False]
    assert [message.view() is None for message in messages] == [True, False, True, False]
    empty = messages[1].view()
    assert empty is not None and empty.tobytes() == b""


def test_header_names_that_are_no_text_go_through(place: Place) -> None:
    message = one(place, value=b"", headers={"caf\udce9": b"1"})
    assert message.headers == [("caf\udce9", b"1")]


def test_a_batch_is_a_sequence(place: Place) -> None:
    place.create()
    place.fill(10)
    batch = max(take(place, 10), key=len)
    length = len(batch)
    assert [message.offset for message in batch] == batch.offsets()
    assert batch[0].offset == batch.first_offset
    assert batch[-1].offset == batch.last_offset == batch[length - 1].offset
    assert [message.offset for message in batch[::-1]] == batch.offsets()[::-1]
    assert [message.offset for message in batch[1:3]] == batch.offsets()[1:3]
    assert [message.value for message in reversed(batch)] == batch.values()[::-1]
    assert batch[50:] == []
    for index in (length, -length - 1, 1 << 80):
        with pytest.raises((IndexError, TypeError)):
            batch[index]
    with pytest.raises(TypeError, match="int or slice"):
        batch["0"]  # type: ignore[call-overload]
    iterator = iter(batch)
    next(iterator)
    assert len(list(iterator)) == length - 1


def test_columns_are_the_messages(place: Place) -> None:
    place.create()
    place.producer.produce(place.topic, None, b"a", partition=0).wait(10)
    place.fill(50, keys=3)
    for batch in take(place, 51):
        messages = list(batch)
        assert batch.values() == [message.value for message in messages]
        assert batch.keys() == [message.key for message in messages]
        assert batch.offsets() == [message.offset for message in messages]
        assert batch.timestamps() == [message.timestamp for message in messages]
        data, starts = batch.packed_values()
        assert len(starts) == len(batch) + 1
        packed = [data[starts[n] : starts[n + 1]] for n in range(len(batch))]
        assert packed == [value or b"" for value in batch.values()]


def test_views_and_columns_outlive_the_call_and_the_app(place: Place) -> None:
    payload = bytes(range(256)) * 1000
    view = one(place, value=payload, partition=0).view()
    gc.collect()
    assert view is not None
    assert view.readonly and view.nbytes == len(payload) and view.format == "B"
    assert view == payload
    part = view[1000:2000]
    del view
    gc.collect()
    assert part.tobytes() == payload[1000:2000]
    with pytest.raises(TypeError):
        part[0] = 1
    assert memoryview(part).cast("I").nbytes == 1000


def test_nothing_of_a_payload_is_shown(place: Place) -> None:
    place.create()
    place.producer.produce(place.topic, "secret-value", "secret-key", headers={"h": "secret-header"}, partition=0).wait(10)
    batch = take(place, 1)[0]
    assert repr(batch) == f"<libkarafka.Batch {place.topic}/0, 1 messages from 0>"
    assert repr(batch[0]) == f"<libkarafka.Message {place.topic}/0@0>"


def test_what_belongs_to_a_process_cannot_be_pickled_or_copied(place: Place) -> None:
    message = one(place, value=b"v", partition=0)
    batch = take(Place(place.broker), 0) or []
    assert batch == []
    things: list[object] = [message, place.app(), place.producer]
    for thing in things:
        for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="pickle"):
                refuse(thing)


def test_errors_can_be_pickled(place: Place) -> None:
    with pytest.raises(libkarafka.ConfigError) as caught:
        libkarafka.App(concurrency=0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is libkarafka.ConfigError and str(again) == str(caught.value)
