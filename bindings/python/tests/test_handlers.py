"""Plain functions as handlers: what they get, in which order, and what becomes of what they raise."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

import libkarafka
from conftest import Place, eventually


def test_a_handler_gets_every_message_once_and_in_order(place: Place) -> None:
    place.create()
    place.fill(500)
    seen: list[bytes] = []
    app = place.app()

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        seen.extend(batch.values())
        if len(seen) >= 500:
            app.stop()

    app.run()
    assert seen == [str(n).encode() for n in range(500)]


def test_keys_run_in_parallel_and_each_in_order(place: Place) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    source = random.Random(seed)
    pauses = {f"k{n}".encode(): source.uniform(0.0005, 0.003) for n in range(20)}
    place.create(2)
    place.fill(400, keys=20, partition=None)
    seen: dict[bytes, list[int]] = defaultdict(list)
    running, most, lock = 0, 0, threading.Lock()
    app = place.app(concurrency=8)

    @app.consumer(place.topic, virtual_partitions="by_key", max_messages=5)
    def handle(batch: libkarafka.Batch) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        for message in batch:
            assert message.key is not None and message.value is not None
            time.sleep(pauses[message.key])
            seen[message.key].append(int(message.value))
        with lock:
            running -= 1
            if sum(map(len, seen.values())) >= 400:
                app.stop()

    app.run()
    assert sum(map(len, seen.values())) == 400
    for key, values in seen.items():
        assert values == sorted(values), key
    assert most > 1, "nothing ran in parallel"


def test_handlers_of_every_shape_are_called(place: Place) -> None:
    class Callable_:
        def __call__(self, batch: libkarafka.Batch, context: libkarafka.Context) -> None:
            record("object", context.partition)

        def method(self, batch: libkarafka.Batch) -> None:
            record("method", batch.partition)

    def three(prefix: str, batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        record(prefix, context.partition)

    def everything(*arguments: Any) -> None:
        assert isinstance(arguments[1], libkarafka.Context)
        record("everything", arguments[0].partition)

    called: dict[str, int] = {}
    app = place.app()

    def record(name: str, partition: int) -> None:
        called[name] = partition
        if len(called) == 5:
            app.stop()

    place.create()
    place.fill(1)
    shapes: dict[str, Callable[..., object]] = {
        "object": Callable_(),
        "method": Callable_().method,
        "partial": functools.partial(three, "partial"),
        "everything": everything,
        "lambda": lambda batch: record("lambda", batch.partition),
    }
    for name, shape in shapes.items():
        app.consumer(place.topic, group=f"{place.group}-{name}")(shape)
    app.run()
    assert called == dict.fromkeys(shapes, 0)


@pytest.mark.parametrize(
    "function",
    [lambda: None, lambda a, b, c: None, lambda *, batch: None, 5],
    ids=["no argument", "three arguments", "keyword only", "no function"],
)
def test_a_function_that_cannot_take_a_batch_is_refused(place: Place, function: Any) -> None:
    with pytest.raises(TypeError, match="handler must be a function|must take"):
        place.app().consumer(place.topic)(function)


def test_a_generator_is_refused(place: Place) -> None:
    def handle(batch: libkarafka.Batch) -> Any:
        yield batch

    async def later(batch: libkarafka.Batch) -> Any:
        yield batch

    for function in (handle, later):
        with pytest.raises(TypeError, match="generator"):
            place.app().consumer(place.topic)(function)


def test_a_returned_coroutine_is_a_failure_not_a_success(place: Place) -> None:
    place.create()
    place.fill(1)

    async def work() -> None:
        raise AssertionError("never run")

    app = place.app()
    app.consumer(place.topic, retry_backoff=1)(lambda batch: work())
    failures = app.events()
    app.start()
    event = next(event for event in failures if event.name == "consumer.consume.error")
    assert event.fields["error_class"] == "TypeError"
    assert "async def" in event.fields["error"]


class Loud(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Quiet(BaseException):
    pass


class Strange(Exception):
    def __str__(self) -> str:
        raise Quiet()


def deep(n: int = 0) -> int:
    return deep(n + 1)


def deep_in_c() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    json.dumps(nested)


@pytest.mark.parametrize(
    ("raiser", "name"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: (_ for _ in ()).throw(Loud()), "test_handlers.Loud"),
        (lambda: (_ for _ in ()).throw(Strange()), "test_handlers.Strange"),
        (lambda: (_ for _ in ()).throw(Quiet("no Exception")), "test_handlers.Quiet"),
        (lambda: (_ for _ in ()).throw(GeneratorExit()), "GeneratorExit"),
        (lambda: (_ for _ in ()).throw(asyncio.CancelledError()), "asyncio.exceptions.CancelledError"),
        (lambda: next(iter(())), "StopIteration"),
        (lambda: (_ for _ in ()).throw(ValueError("\ud800 lone")), "ValueError"),
        (lambda: (_ for _ in ()).throw(ExceptionGroup("two", [ValueError(), TypeError()])), "ExceptionGroup"),
        (deep, "RecursionError"),
        (deep_in_c, "RecursionError"),
    ],
)
def test_whatever_a_handler_raises_its_batch_is_tried_again(place: Place, raiser: Callable[[], Any], name: str) -> None:
    place.create()
    place.fill(3)
    attempts: list[int] = []
    retrying: list[bool] = []
    app = place.app()
    events = app.events()

    @app.consumer(place.topic, retry_backoff=1)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        attempts.append(context.attempt)
        retrying.append(context.retrying)
        if context.attempt < 3:
            raiser()
        if batch.last_offset == 2:
            app.stop()

    app.run()
    assert attempts[:3] == [1, 2, 3]
    assert retrying[:3] == [False, True, True]
    failed = [event for event in events if event.name == "consumer.consume.error"]
    assert len(failed) == 2
    assert failed[0].fields["error_class"] == name
    assert "Traceback" in failed[0].fields["backtrace"] or name.endswith("Strange")


def test_a_failed_batch_keeps_its_messages_when_somebody_looks_at_them(place: Place) -> None:
    place.create()
    place.fill(5)
    kept: list[libkarafka.Message] = []
    app = place.app()

    @app.consumer(place.topic, retry_backoff=1)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        kept.extend(batch)
        if context.attempt < 4:
            raise ValueError("again")
        if batch.last_offset == 4:
            app.stop()

    app.run()
    assert [message.value for message in kept[-5:]] == [b"0", b"1", b"2", b"3", b"4"]
    assert all(message.value == str(message.offset).encode() for message in kept)


def test_marks_survive_a_failure(place: Place) -> None:
    place.create()
    place.fill(10)
    seen: list[bytes] = []
    app = place.app()

    @app.consumer(place.topic, retry_backoff=1)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        for message in batch:
            assert message.value is not None
            if message.value == b"6" and context.attempt == 1:
                raise ValueError("the seventh")
            seen.append(message.value)
            assert context.mark_as_consumed(message)
        if b"9" in seen:
            app.stop()

    app.run()
    assert seen == [str(n).encode() for n in range(10)], "marked messages came again, or others were lost"


def test_single_marks_leave_the_others_to_be_tried_again(place: Place) -> None:
    place.create()
    place.fill(4)
    attempts: list[list[int]] = []
    app = place.app()

    @app.consumer(place.topic, retry_backoff=1)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        attempts.append(batch.offsets())
        if len(batch) == 4:
            assert context.acknowledge(batch[1])
            assert context.acknowledge(batch[3])
            raise ValueError("0 and 2 are left")
        if context.retrying:
            app.stop()

    app.run()
    assert [0, 1, 2, 3] in attempts
    assert attempts[-1] == [0, 2]


def test_a_committed_mark_is_not_handled_again_by_the_next_app(place: Place) -> None:
    place.create()
    place.fill(6)
    first = place.app()

    @first.consumer(place.topic, manual_offset_management=True)
    def mark_four(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        for message in batch:
            if message.offset == 3:
                assert context.mark_as_consumed_sync(message, timeout=10)
                assert context.commit()
        if batch.last_offset == 5:
            first.stop()

    first.run()
    seen: list[int] = []
    second = place.app()

    @second.consumer(place.topic)
    def rest(batch: libkarafka.Batch) -> None:
        seen.extend(batch.offsets())
        if 5 in seen:
            second.stop()

    second.run()
    assert seen == [4, 5]


def test_a_message_of_another_batch_cannot_be_marked(place: Place) -> None:
    place.create()
    place.fill(2)
    kept: list[libkarafka.Message] = []
    errors: list[Exception] = []
    app = place.app()

    @app.consumer(place.topic, max_messages=1)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        if kept:
            for wrong in (kept[0], 5, None):
                try:
                    context.mark_as_consumed(wrong)  # type: ignore[arg-type]
                except (ValueError, TypeError) as error:
                    errors.append(error)
            app.stop()
        kept.append(batch[0])

    app.run()
    assert [type(error) for error in errors] == [ValueError, TypeError, TypeError]


def test_a_partitioner_chooses_what_stays_in_order(place: Place) -> None:
    place.create()
    place.fill(60, keys=60)
    seen: dict[int, list[int]] = defaultdict(list)
    asked: list[int] = []
    app = place.app(concurrency=4)

    def third(message: libkarafka.Message) -> int:
        asked.append(message.offset)
        return message.offset % 3

    @app.consumer(place.topic, virtual_partitions=third, max_messages=4)
    def handle(batch: libkarafka.Batch) -> None:
        remainders = {offset % 3 for offset in batch.offsets()}
        assert len(remainders) == 1, "a call got two virtual partitions"
        seen[remainders.pop()].extend(batch.offsets())
        if sum(map(len, seen.values())) >= 60:
            app.stop()

    app.run()
    assert sorted(set(asked)) == list(range(60))
    assert seen == {n: list(range(n, 60, 3)) for n in range(3)}


@pytest.mark.parametrize("partitioner", [lambda message: 1 / 0, lambda message: None], ids=["raises", "returns None"])
def test_a_failing_partitioner_loses_nothing_and_is_reported(place: Place, partitioner: Callable[..., Any]) -> None:
    place.create()
    place.fill(20)
    seen: list[int] = []
    app = place.app()
    events = app.events()

    @app.consumer(place.topic, virtual_partitions=partitioner)
    def handle(batch: libkarafka.Batch) -> None:
        seen.extend(batch.offsets())
        if len(seen) >= 20:
            app.stop()

    app.run()
    assert seen == list(range(20))
    assert any("error" in event.name or "warning" in event.name for event in events)


def test_a_partitioner_has_to_be_a_plain_function(place: Place) -> None:
    async def later(message: libkarafka.Message) -> bytes:
        return b""

    with pytest.raises(TypeError, match="plain function"):
        place.app().consumer(place.topic, virtual_partitions=later)(lambda batch: None)
    with pytest.raises(libkarafka.ConfigError, match="the function itself"):
        place.app().consumer(place.topic, virtual_partitions="callback")(lambda batch: None)


def test_deleting_what_a_handler_knows_does_not_stop_it(place: Place) -> None:
    place.create()
    place.fill(5)
    seen: list[int] = []
    app = place.app()

    def register() -> None:
        @app.consumer(place.topic)
        def handle(batch: libkarafka.Batch) -> None:
            seen.extend(batch.offsets())

    register()
    app.start()
    eventually(lambda: len(seen) == 5)
