"""What happens in an app, and who wants to know.

Events come from the app's host thread, one after another. Whoever listens too slowly, or raises, harms no handler.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_log = logging.getLogger("libkarafka")

_ENDED = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its dotted name, such as ``error.occurred``, and its fields as text."""

    name: str
    fields: dict[str, str]

    def __str__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self.fields.items() if name != "backtrace")
        return " ".join((self.name, *fields))


Listener = Callable[[Event], object]


class Listeners:
    """The functions and iterators that want an app's events."""

    def __init__(self) -> None:
        self._functions: list[tuple[str, Listener]] = []
        self._queues: list[queue.SimpleQueue[Event | None]] = []
        self._has_ended = False

    def add(self, name: str, function: Listener) -> None:
        """Has the function called with every event of this name."""
        self._functions.append((name, function))

    def subscribe(self) -> Iterator[Event]:
        """Iterates over events from now on, and ends when the app has stopped."""
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._queues.append(events)
        if self._has_ended:
            events.put(_ENDED)
        return iter(events.get, _ENDED)

    def publish(self, event: Event) -> None:
        """Tells everybody. What nobody asked for, and a person should see, is logged."""
        wanted = [function for name, function in tuple(self._functions) if name == event.name]
        for function in wanted:
            try:
                function(event)
            except Exception:
                _log.exception("a listener of %s raised", event.name)
        for events in tuple(self._queues):
            events.put(event)
        if not wanted and not self._queues:
            _write(event)

    def end(self) -> None:
        """The app has stopped: iterators end."""
        self._has_ended = True
        for events in tuple(self._queues):
            events.put(_ENDED)


_LEVELS = {
    "error.occurred": logging.ERROR,
    "consumer.consume.error": logging.ERROR,
    "warning.occurred": logging.WARNING,
    "events.missed": logging.WARNING,
}


def _write(event: Event) -> None:
    level = _LEVELS.get(event.name, logging.INFO)
    backtrace = event.fields.get("backtrace")
    if backtrace:
        _log.log(level, "%s\n%s", event, backtrace)
    else:
        _log.log(level, "%s", event)
