"""What a handler does to the position of its partition."""

from __future__ import annotations

import asyncio
import datetime
import queue
from collections.abc import Callable
from typing import Any

import libkarafka
import pytest

from conftest import Place

PATIENCE = 30.0


def numbers(place: Place, count: int) -> None:
    place.create(1)
    place.fill(count)


def consuming(place: Place, handle: Callable[..., Any], **options: Any) -> queue.Queue[Any]:
    seen: queue.Queue[Any] = queue.Queue()
    app = place.app(commit_interval=20)

    @app.consumer(place.topic, retry_backoff=10, **options)
    def consume(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        seen.put(handle(batch, context))

    app.start()
    return seen


def take(seen: queue.Queue[Any], count: int) -> list[Any]:
    return [seen.get(timeout=PATIENCE) for _ in range(count)]


def test_it_seeks_forwards_and_backwards_and_refuses_what_is_no_place(place: Place) -> None:
    numbers(place, 6)
    sought: list[Any] = []

    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> int:
        if batch.first_offset == 1 and not sought:
            with pytest.raises(libkarafka.ConfigError):
                context.seek(-3)
            with pytest.raises(TypeError):
                context.seek([])  # type: ignore[arg-type]
            sought.append(context.seek(4))
        elif batch.first_offset == 5 and len(sought) == 1:
            sought.append(context.seek("earliest"))
        return batch.first_offset

    assert take(consuming(place, handle, max_messages=1), 7) == [0, 1, 4, 5, 0, 1, 2]
    assert sought == [True, True]


def test_it_pauses_and_what_was_not_marked_comes_again(place: Place) -> None:
    numbers(place, 3)
    pauses = [0.3]
    loop = asyncio.new_event_loop()

    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> tuple[int, float]:
        if batch.first_offset == 1 and pauses:
            assert context.pause(pauses.pop())
        return batch.first_offset, loop.time()

    calls = take(consuming(place, handle, max_messages=1), 4)
    loop.close()
    assert [offset for offset, _ in calls] == [0, 1, 1, 2]
    assert calls[2][1] - calls[1][1] >= 0.29


def test_a_text_travels_with_the_offset_and_none_says_that_it_is_lost(place: Place) -> None:
    numbers(place, 1)

    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> tuple[Any, ...]:
        before = context.offset_metadata
        marked = context.mark_as_consumed_sync(batch[0], metadata="page 7")
        return context, before, marked, context.offset_metadata, context.commit_offsets()

    context, *facts = take(consuming(place, handle, manual_offset_management=True), 1)[0]
    assert facts == ["", True, "page 7", True]
    place.close()
    assert context.offset_metadata is None
    assert not context.pause() and not context.resume() and not context.seek(0) and not context.commit_offsets()


def test_each_marks_one_by_one_and_metadata_tells_sizes_and_lags(place: Place) -> None:
    numbers(place, 4)
    handled: list[int] = []

    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> libkarafka.BatchMetadata:
        for message in context.each():
            handled.append(message.offset)
            if message.offset == 1 and context.attempt < 3:
                raise RuntimeError("not yet")
        return batch.metadata

    calls = take(consuming(place, handle, max_bytes=6, max_messages=4, linger=200), 2)
    assert handled == [0, 1, 1, 1, 2, 3]
    last = calls[-1]
    assert (last.first_offset, last.last_offset, last.size, last.bytes, last.offset_lag) == (3, 3, 1, 3, 0)
    assert last.created_at is not None and last.consumption_lag < PATIENCE
    assert last.created_at <= last.scheduled_at + 1000 and last.processing_lag < PATIENCE


def test_a_time_on_the_embedded_broker_is_refused_with_a_reason(place: Place) -> None:
    if not isinstance(place.broker, libkarafka.EmbeddedBroker):
        pytest.skip("Kafka knows times")
    numbers(place, 1)

    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> str:
        with pytest.raises(libkarafka.UnsupportedError) as raised:
            context.seek(datetime.datetime.now(datetime.timezone.utc))
        return str(raised.value)

    assert "seek to an offset" in take(consuming(place, handle), 1)[0]
