"""What is called beside batches: ticks, ends, and the end of an ownership; and classes of consumers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import libkarafka
from conftest import Place, eventually


def names(calls: list[tuple[Any, ...]]) -> list[str]:
    return [call[0] for call in calls]


def test_functions_hear_of_ticks_ends_and_the_shutdown(place: Place) -> None:
    place.create()
    calls: list[tuple[Any, ...]] = []

    def note(name: str) -> Any:
        return lambda context: calls.append((name, context.used, context.eofed, context.revoked))

    app = place.app()
    hooks = {name: note(name) for name in ("tick", "eofed", "revoked", "shutdown")}

    @app.consumer(place.topic, periodic={"interval": 50}, **hooks)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        calls.append(("consume", context.used, context.eofed, context.revoked))

    app.start()
    eventually(lambda: "tick" in names(calls) and "eofed" in names(calls))
    assert ("eofed", False, True, False) in calls
    place.fill(1)
    eventually(lambda: calls[-1] == ("tick", True, False, False))
    app.stop()
    assert app.join(10)
    assert calls[-1] == ("shutdown", True, False, False)
    assert names(calls).count("shutdown") == 1
    assert "revoked" not in names(calls)


def test_a_class_keeps_its_object_and_hears_everything_in_it(place: Place) -> None:
    place.create()
    calls: list[tuple[Any, ...]] = []
    app = place.app()

    @app.consumer(place.topic, periodic={"interval": 50})
    class Orders:
        def initialized(self, context: libkarafka.Context) -> None:
            calls.append(("initialized", self, context.partition))

        def consume(self, batch: libkarafka.Batch) -> None:
            calls.append(("consume", self, len(batch)))

        def tick(self) -> None:
            calls.append(("tick", self))

        def shutdown(self, context: libkarafka.Context) -> None:
            calls.append(("shutdown", self, context.used))

    place.fill(1)
    app.start()
    eventually(lambda: {"consume", "tick"} <= set(names(calls)))
    app.stop()
    assert app.join(10)
    assert calls[0][0] == "initialized" and names(calls).count("initialized") == 1
    assert calls[-1][0] == "shutdown" and calls[-1][2] is True
    assert len({id(call[1]) for call in calls}) == 1


async def test_an_async_class_is_called_in_the_loop_and_a_plain_hook_beside_it(place: Place) -> None:
    place.create()
    place.fill(1)
    here = asyncio.get_running_loop()
    calls: list[str] = []
    app = place.app()

    @app.consumer(place.topic, periodic={"interval": 50}, virtual_partitions="by_key")
    class Orders:
        async def initialized(self) -> None:
            self.is_ready = True

        async def consume(self, batch: libkarafka.Batch, context: libkarafka.Context) -> None:
            await asyncio.sleep(0.001)
            assert self.is_ready and asyncio.get_running_loop() is here
            calls.append("consume")

        async def tick(self, context: libkarafka.Context) -> None:
            await asyncio.sleep(0.001)
            assert self.is_ready
            calls.append("tick")
            if "consume" in calls:
                run.stop()

        def shutdown(self) -> None:
            assert asyncio.get_running_loop() is here
            calls.append("shutdown")

    async with app.running() as run:
        async with asyncio.timeout(15):
            await run.wait()
    assert calls[-2:] == ["tick", "shutdown"] and calls.count("shutdown") == 1


def test_a_failing_hook_is_an_event_and_a_failing_beginning_a_failure_of_the_call(place: Place) -> None:
    place.create()
    place.fill(1)
    begun: list[object] = []
    handled: list[object] = []
    failed: list[tuple[str, str]] = []
    app = place.app()

    @app.consumer(place.topic, periodic={"interval": 50}, retry_backoff=10)
    class Orders:
        def initialized(self) -> None:
            begun.append(self)
            if len(begun) == 1:
                raise ValueError("not yet")

        def consume(self, batch: libkarafka.Batch) -> None:
            handled.append(self)

        def tick(self) -> None:
            raise KeyError("always")

    for name in ("consumer.consume.error", "consumer.tick.error"):
        app.on(name, lambda event: failed.append((event.name, event.fields["error_class"])))
    app.start()
    eventually(lambda: ("consumer.tick.error", "KeyError") in failed and handled)
    assert len(begun) == 2 and handled == begun[1:]
    # A tick may have been the first call.
    assert [kind for _, kind in failed].count("ValueError") == 1


def test_who_loses_a_partition_marks_in_its_object(place: Place) -> None:
    place.create(2)
    for partition in (0, 1):
        place.fill(1, partition=partition)
    handled: list[object] = []
    revoked: list[tuple[object, bool, int]] = []
    again: list[int] = []
    first, second = place.app(group_protocol="consumer"), place.app(group_protocol="consumer")

    @first.consumer(place.topic, manual_offset_management=True, max_messages=1)
    class Orders:
        def consume(self, batch: libkarafka.Batch, context: libkarafka.Context) -> None:
            self.last = batch[0]
            handled.append(self)

        def revoked(self, context: libkarafka.Context) -> None:
            revoked.append((self, context.mark_as_consumed(self.last), context.partition))

    first.start()
    eventually(lambda: len(handled) == 2)

    @second.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        again.append(batch.partition)

    second.start()
    eventually(lambda: revoked)
    consumer, owned, partition = revoked[0]
    assert owned and consumer in handled
    place.fill(1, partition=partition)
    eventually(lambda: again)
    assert again == [partition]


def test_a_hook_that_ends_the_program_is_not_called_again(place: Place) -> None:
    place.create()
    place.fill(1)
    handled: list[int] = []
    ended: list[int] = []
    app = place.app()

    def shutdown() -> None:
        ended.append(1)
        raise SystemExit(7)

    @app.consumer(place.topic, shutdown=shutdown)
    def handle(batch: libkarafka.Batch) -> None:
        handled.append(len(batch))

    app.start()
    eventually(lambda: handled)
    app.stop()
    with pytest.raises(SystemExit) as raised:
        app.join(10)
    assert raised.value.code == 7 and ended == [1]


def test_what_cannot_work_is_refused_at_once(place: Place) -> None:
    app = place.app()

    async def later(context: libkarafka.Context) -> None: ...

    def plain(batch: libkarafka.Batch) -> None: ...

    class Mute:
        def tick(self) -> None: ...

    class Mixed:
        def consume(self, batch: libkarafka.Batch) -> None: ...

        async def tick(self) -> None: ...

    class Wide:
        def consume(self, batch: libkarafka.Batch) -> None: ...

        def tick(self, one: int, two: int) -> None: ...

    for hooks, handler, words in (
        ({"tick": later}, plain, "async def"),
        ({"tick": 3}, plain, "must be a function"),
        ({"tick": lambda one, two: None}, plain, "must take"),
        ({}, Mute, "no method consume"),
        ({}, Mixed, "async def"),
        ({}, Wide, "must take"),
        ({"tick": plain}, Wide, "must take|make tick its method"),
    ):
        with pytest.raises(TypeError, match=words):
            app.consumer(place.topic, **hooks)(handler)
    app.consumer(place.topic, periodic=True)(plain)
    with pytest.raises(libkarafka.ConfigError, match="no tick"):
        app.start()
