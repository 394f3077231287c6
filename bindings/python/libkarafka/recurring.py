"""Recurring tasks: functions that run at the times of a cron pattern, in one member of a group.

Declared before the app's start, on any thread; called on the core's worker threads.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, TypeVar

from . import _native
from .errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class TaskRun:
    """One run of a recurring task.

    ``task`` is its name, ``scheduled`` the time that the run is for (an aware datetime, the last one that has come), None when it
    was triggered.
    """

    __slots__ = ("_native", "scheduled", "task")

    def __init__(self, native: _native.TaskRun) -> None:
        self._native = native
        self.task = native.task
        milliseconds = native.scheduled
        self.scheduled = None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)

    @property
    def should_end(self) -> bool:
        """Whether the run should end early: the app was asked to stop, or another member of the group has the tasks now."""
        return self._native.should_end

    def __repr__(self) -> str:
        return f"<libkarafka.TaskRun {self.task!r} scheduled={self.scheduled}>"


class RecurringTasks:
    """The recurring tasks of a topic: ``App.recurring_tasks``. They run one after another."""

    def __init__(self, native: _native.RecurringTasks) -> None:
        self._native = native
        self._functions: dict[str, Callable[[TaskRun], Any]] = {}

    def task(self, name: str, cron: str) -> Callable[[Function], Function]:
        """Has the decorated function run at the times of a cron pattern, ``"minute hour day month weekday"``, with seconds before
        them where wanted, or ``"@hourly"`` and the like. It gets a ``TaskRun``.

        What it raises, a ``SystemExit`` too, is told by the event ``recurring_tasks.error`` and by the log, and the run is not
        repeated: the next one is at the next time. Raises ``ConfigError`` for a name that is taken, or a pattern that is none, with
        the field that is wrong; ``StoppedError`` once the app was started.
        """

        def declare(function: Function) -> Function:
            if inspect.iscoroutinefunction(function):
                raise ConfigError(f"the task {name!r} is a plain function: there is no event loop for it")
            # The core outlives the app's Python side: it must not keep that alive.
            self._native.add(name, cron, partial(_run, weakref.ref(self), name))
            self._functions[name] = function
            return function

        return declare


def _run(reference: weakref.ref[RecurringTasks], name: str, native: _native.TaskRun) -> None:
    tasks = reference()
    if tasks is not None:
        tasks._functions[name](TaskRun(native))
