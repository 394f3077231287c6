"""Handlers that are ``async def``: their event loop.

Jobs come from the core by ``take_jobs``, all that have gathered for one wake-up, and each becomes a task. The loop is one
of its own on a thread of its own, or the one that is running inside ``async with app.running()``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any

from ._native import App as _NativeApp
from ._native import Job
from .children import end_child
from .handler import Handler

_log = logging.getLogger("libkarafka")

# How long an own loop may take to cancel what still runs when the app has stopped: what is left, after the core, of the second
# by which a stop may be late.
_PATIENCE = 0.25


async def _handle(job: Job, handler: Handler) -> None:
    """One call of a handler. Whatever happens, the job is completed once; dropped unrun, it has failed."""
    process = os.getpid()
    try:
        job.enter()
        if job.hook is not None:
            outcome = handler.hooks[job.hook](job.context())
            if isawaitable(outcome):
                await outcome
        elif handler.takes_context:
            await handler.function(job.batch(), job.context())
        else:
            await handler.function(job.batch())
    except BaseException as error:
        if os.getpid() != process:
            end_child(error)
        # Also cancellation and SystemExit: the core decides what becomes of the batch and of the app.
        job.raised(error)
    else:
        if os.getpid() != process:
            end_child(None)
        job.done()


class Bridge:
    """Takes an app's jobs into an event loop."""

    def __init__(self, native: _NativeApp, handlers: Sequence[Handler], loop: asyncio.AbstractEventLoop | None) -> None:
        self._take_jobs: Callable[[], list[Job]] = native.take_jobs
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._loop = loop if loop is not None else self._own_loop()

    def wake(self) -> None:
        """Has the loop take what is there. Called on a thread of the core."""
        self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        create, tasks = self._loop.create_task, self._tasks
        for job in self._take_jobs():
            task = create(_handle(job, self._handlers[job.topic_index]))
            # The loop itself keeps only weak references.
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def close(self) -> None:
        """The app has stopped: cancels what was left behind, and ends a loop of its own."""
        # The core holds on to `wake`, and would be held by it: the collector does not see through the core.
        self._take_jobs, self._handlers = list, ()
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            # The loop is closed, and nothing runs in it.
            return
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._thread is not None:
            self._loop.stop()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        # The interpreter waits for threads that are no daemons before it runs what stops the app.
        self._thread = threading.Thread(target=_run, args=(loop,), name="karafka-loop", daemon=True)
        self._thread.start()
        return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait_for(_settled(left), _PATIENCE / 2))
        loop.run_until_complete(loop.shutdown_asyncgens())
    except Exception:
        _log.debug("the event loop did not end cleanly", exc_info=True)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _settled(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _settle(items: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    """Wakes those who await deliveries. Called in their loop, by the core's side."""
    for future, report, error in items:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(report)


def on_open(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> Callable[[], None]:
    """A callback for other threads that ends a wait in this loop."""

    def settle() -> None:
        if not future.done():
            future.set_result(None)

    def callback() -> None:
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:
            # The loop was closed: nobody waits in it.
            pass

    return callback
