"""``async def`` handlers: hundreds in flight in one loop, order kept, every way to end completes the job."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
import weakref
from collections import defaultdict
from contextlib import suppress
from typing import Any

import pytest

import libkarafka
from conftest import Place, eventually


def test_hundreds_are_in_flight_and_keys_stay_in_order(place: Place) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    source = random.Random(seed)
    place.create(2)
    place.fill(1500, keys=500, partition=None)
    seen: dict[bytes, list[int]] = defaultdict(list)
    running, most, threads = 0, 0, set()
    app = place.app(async_concurrency=400)

    @app.consumer(place.topic, virtual_partitions="by_key", max_messages=2)
    async def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threads.add(threading.current_thread().name)
        for message in batch:
            # Work that takes a while, so that many calls are open at once.
            await asyncio.sleep(source.uniform(0.01, 0.05))
            assert message.key is not None and message.value is not None
            seen[message.key].append(int(message.value))
        running -= 1
        if sum(map(len, seen.values())) >= 1500:
            app.stop()

    app.run()
    assert sum(map(len, seen.values())) == 1500
    for key, values in seen.items():
        assert values == sorted(values), key
    assert threads == {"karafka-loop"}
    assert 200 <= most <= 400, most


async def test_handlers_run_in_the_running_loop(place: Place) -> None:
    place.create()
    place.fill(20, keys=20)
    here, seen = asyncio.get_running_loop(), []
    app = place.app()

    @app.consumer(place.topic, virtual_partitions="by_key")
    async def handle(batch: libkarafka.Batch) -> None:
        assert asyncio.get_running_loop() is here
        # Work that gives way to the loop.
        await asyncio.sleep(0.001)
        seen.extend(batch.values())
        if len(seen) == 20:
            run.stop()

    async with app.running() as run:
        async with asyncio.timeout(15):
            await run.wait()
    assert len(seen) == 20
    assert app.phase == "stopped"


async def test_leaving_the_block_stops_the_app_and_waits_for_its_handlers(place: Place) -> None:
    place.create()
    place.fill(1)
    begun, ended = asyncio.Event(), []
    app = place.app()

    @app.consumer(place.topic)
    async def handle(batch: libkarafka.Batch) -> None:
        begun.set()
        # Work that is not finished yet when the app is asked to stop.
        await asyncio.sleep(0.2)
        ended.append(batch.first_offset)

    async with app.running():
        await asyncio.wait_for(begun.wait(), 15)
    assert ended == [0]
    assert app.phase == "stopped"


async def test_plain_handlers_run_beside_a_running_loop(place: Place) -> None:
    place.create()
    place.fill(1)
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    app = place.app()

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        loop.call_soon_threadsafe(done.set)

    async with app.running():
        await asyncio.wait_for(done.wait(), 15)


async def test_run_refuses_to_block_a_running_loop(place: Place) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        place.app().run()


async def test_a_cancelled_block_does_not_wait_for_slow_handlers(place: Place) -> None:
    place.create()
    place.fill(1)
    begun, cancelled = asyncio.Event(), []
    app = place.app(shutdown_timeout="30s")

    @app.consumer(place.topic)
    async def handle(batch: libkarafka.Batch) -> None:
        begun.set()
        try:
            # Longer than the app may take to stop.
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def body() -> None:
        async with app.running():
            # Until it is cancelled.
            await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await asyncio.wait_for(begun.wait(), 15)
    task.cancel()
    # One turn of the loop, so that the second cancellation comes while the first is under way.
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    # One turn of the loop for what the handler's own task does with its cancellation.
    await asyncio.sleep(0)
    assert cancelled == [True], "the handler that was left behind was not cancelled"


@pytest.mark.parametrize("how", ["blocks the loop", "is not to be cancelled"])
def test_a_stop_keeps_its_deadline_whatever_a_coroutine_does(place: Place, how: str) -> None:
    place.create()
    place.fill(1)
    begun, go_on = threading.Event(), threading.Event()
    app = place.app(shutdown_timeout="300ms")

    @app.consumer(place.topic)
    async def handle(batch: libkarafka.Batch) -> None:
        begun.set()
        while not go_on.is_set():
            if how == "blocks the loop":
                go_on.wait(20)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    app.start()
    assert begun.wait(15)
    asked = time.monotonic()
    app.stop()
    with pytest.raises(libkarafka.TimeoutError):
        app.join(20)
    took = time.monotonic() - asked
    go_on.set()
    assert took < 1.3, f"the time to stop in was 0.3 s and a second more; it took {took:.2f} s"


def test_what_a_coroutine_raises_has_its_batch_tried_again(place: Place) -> None:
    class Odd(BaseException):
        pass

    raised: list[BaseException] = [ValueError("one"), Odd("two"), asyncio.CancelledError(), asyncio.TimeoutError()]
    place.create()
    place.fill(3)
    attempts: list[int] = []
    app = place.app()
    events = app.events()

    @app.consumer(place.topic, retry_backoff=1)
    async def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        # A turn of the loop: what is counted is after the first await.
        await asyncio.sleep(0)
        attempts.append(context.attempt)
        if context.attempt <= len(raised):
            raise raised[context.attempt - 1]
        if batch.last_offset == 2:
            app.stop()

    app.run()
    assert attempts[:5] == [1, 2, 3, 4, 5]
    failed = [event.fields["error_class"] for event in events if event.name == "consumer.consume.error"]
    assert failed == [
        "ValueError",
        "test_async.test_what_a_coroutine_raises_has_its_batch_tried_again.<locals>.Odd",
        "asyncio.exceptions.CancelledError",
        "TimeoutError",
    ]


def test_a_cancelled_task_has_failed(place: Place) -> None:
    place.create()
    place.fill(1)
    attempts: list[int] = []
    app = place.app()

    @app.consumer(place.topic, retry_backoff=1)
    async def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            # Where the cancellation arrives.
            await asyncio.sleep(10)
        app.stop()

    app.run()
    assert attempts == [1, 2]


def test_a_loop_that_is_closed_under_the_app_stops_it(place: Place) -> None:
    place.create()
    app = place.app()

    @app.consumer(place.topic)
    async def handle(batch: libkarafka.Batch) -> None:
        pass

    async def leave() -> None:
        app._launch(asyncio.get_running_loop())

    asyncio.run(leave())
    place.fill(1)
    assert app.join(15)


def test_a_handler_may_end_the_program(place: Place) -> None:
    place.create()
    place.fill(3)
    app = place.app()

    @app.consumer(place.topic)
    async def handle(batch: libkarafka.Batch) -> None:
        # Raised in the loop, not in the call that made the coroutine.
        await asyncio.sleep(0)
        raise SystemExit(7)

    with pytest.raises(SystemExit) as caught:
        app.run()
    assert caught.value.code == 7
    seen: list[int] = []
    attempts: list[int] = []
    again = place.app()

    @again.consumer(place.topic)
    async def rest(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        seen.extend(batch.offsets())
        attempts.append(context.attempt)
        if 2 in seen:
            again.stop()

    again.run()
    assert seen == [0, 1, 2], "a batch that ended the program was committed"
    assert set(attempts) == {1}


async def test_a_handler_may_end_the_program_out_of_the_block(place: Place) -> None:
    place.create()
    place.fill(1)
    app = place.app()

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        raise MemoryError("full")

    with pytest.raises(MemoryError, match="full"):
        async with app.running() as run:
            await asyncio.wait_for(run.wait(), 15)


def test_async_callable_objects_and_partitioners(place: Place) -> None:
    place.create()
    place.fill(30, keys=30)
    seen: dict[int, list[int]] = defaultdict(list)

    class Handler:
        async def __call__(self, batch: libkarafka.Batch) -> None:
            # Work that gives way to the loop.
            await asyncio.sleep(0.001)
            seen[batch.first_offset % 2].extend(batch.offsets())

    app = place.app()
    handler: Any = Handler()
    app.consumer(place.topic, virtual_partitions=lambda message: message.offset % 2)(handler)
    app.start()
    eventually(lambda: sum(map(len, seen.values())) == 30)
    assert seen == {n: list(range(n, 30, 2)) for n in range(2)}


def test_nothing_holds_an_app_that_has_stopped_or_its_handler(place: Place) -> None:
    place.create()
    place.fill(5)
    app = libkarafka.App(bootstrap_servers=place.broker.address, group=place.group)
    handled: list[int] = []

    async def handle(batch: libkarafka.Batch) -> None:
        handled.append(len(batch))

    app.consumer(place.topic)(handle)
    app.start()
    eventually(lambda: sum(handled) == 5)
    app.stop()
    app.join(15)
    left = [weakref.ref(app), weakref.ref(handle)]
    del app, handle
    # The thread that saw it to its end lets go of it last.
    eventually(lambda: gc.collect() >= 0 and all(ref() is None for ref in left))
