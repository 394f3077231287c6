"""What happens in an app, and who wants to know.

Each listener has a thread and a bounded queue of its own: one that is slow, hangs or raises holds up neither handlers nor
other listeners. What nobody listens to is logged.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import _native

_log = logging.getLogger("libkarafka")

_ENDED = None

_GRACE = 2.0
"""Seconds that listeners get at the end to hear the last events."""

_AHEAD = 1024
"""Events that wait for an iterator before its queue in the core is used."""

_LOOK = 1.0
"""Seconds after which a full iterator's thread looks whether anybody holds it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its dotted name, such as ``error.occurred``, and its fields; numbers are numbers."""

    name: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self.fields.items() if name != "backtrace")
        return " ".join((self.name, *fields))


Listener = Callable[[Event], object]


class _Read(Iterator[Event]):
    """An iterator over events, whose thread ends when nobody holds it any more."""

    def __init__(self, events: _native.Events) -> None:
        self.events = events
        self.gathered: queue.Queue[Event | None] = queue.Queue(_AHEAD)
        self._has_ended = False

    def __next__(self) -> Event:
        # In a forked child nobody gathers.
        self.events.owned()
        event = None if self._has_ended else self.gathered.get()
        if event is _ENDED:
            self._has_ended = True
            raise StopIteration
        return event


def _gather(events: _native.Events, gathered: queue.Queue[Event | None], reader: Callable[[], object]) -> None:
    """The thread of an iterator. Where that is full it looks now and then whether anybody is still to read it."""
    event: Event | None
    while True:
        told = events.next()
        event = _ENDED if told is None else Event(*told)
        while reader() is not None:
            try:
                gathered.put(event, timeout=_LOOK)
                break
            except queue.Full:
                continue
        else:
            return
        if event is _ENDED:
            return


class Listeners:
    """The functions and iterators that want an app's events."""

    def __init__(self, native: _native.App) -> None:
        self._native = native
        self._waiting: list[tuple[_native.Events, Listener]] = []
        self._threads: list[threading.Thread] = []
        self._gathering: list[threading.Thread] = []
        self._is_started = False

    def add(self, names: list[str] | None, function: Listener) -> None:
        """Has the function called with every event of these names; None are all but those of single calls."""
        events = self._native.events(names)
        if self._is_started:
            self._tell(events, function)
        else:
            self._waiting.append((events, function))

    def subscribe(self, names: list[str] | None) -> Iterator[Event]:
        """Iterates over events from now on, and ends when the app has stopped."""
        read = _Read(self._native.events(names))
        arguments = (read.events, read.gathered, weakref.ref(read))
        thread = threading.Thread(target=_gather, args=arguments, name="karafka-events", daemon=True)
        if self._is_started:
            thread.start()
        else:
            self._gathering.append(thread)
        return read

    def start(self) -> None:
        """The app starts: functions are called from now on."""
        self._is_started = True
        for events, function in self._waiting:
            self._tell(events, function)
        for thread in self._gathering:
            thread.start()
        self._waiting.clear()
        self._gathering.clear()

    def end(self) -> None:
        """The app has stopped: waits until everything was told, but not for a function that does not come back."""
        deadline = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def __contains__(self, thread: threading.Thread) -> bool:
        return thread in self._threads

    def _tell(self, events: _native.Events, function: Listener) -> None:
        thread = threading.Thread(target=_call, args=(events, function), name="karafka-events", daemon=True)
        self._threads.append(thread)
        thread.start()


def _of_producer(producer: _native.Producer, names: tuple[str, ...]) -> Iterator[Event]:
    """Iterates over a producer's events."""
    return _iterate(producer._events(list(names) or None))  # noqa: SLF001


def _iterate(events: _native.Events) -> Iterator[Event]:
    while (told := events.next()) is not None:
        yield Event(*told)


def _call(events: _native.Events, function: Listener) -> None:
    """A listener's thread."""
    while (told := events.next()) is not None:
        event = Event(*told)
        try:
            function(event)
        except Exception:
            _log.exception("a listener of %s raised", event.name)


_LEVELS = {
    "error.occurred": logging.ERROR,
    "consumer.consume.error": logging.ERROR,
    "warning.occurred": logging.WARNING,
    "events.missed": logging.WARNING,
}


def log(event: Event) -> None:
    """Logs an event that nobody listens to."""
    level = _LEVELS.get(event.name, logging.INFO)
    backtrace = event.fields.get("backtrace")
    if backtrace:
        _log.log(level, "%s\n%s", event, backtrace)
    else:
        _log.log(level, "%s", event)
