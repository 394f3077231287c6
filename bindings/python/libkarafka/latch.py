"""A door that opens once.

Waiting parks the thread, uses no processor, and is ended by signal handlers that raise: a plain lock does both.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from threading import TIMEOUT_MAX


class Latch:
    """Opens once; lets everybody through from then on."""

    def __init__(self) -> None:
        self._is_open = False
        self._callbacks: list[Callable[[], object]] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is open, at most ``timeout`` seconds. Returns whether it is."""
        # Each wait has a gate of its own: one that a signal ends halfway leaves nothing locked for the others.
        gate = allocate_lock()
        gate.acquire()
        self.call(gate.release)
        if gate.acquire(timeout=-1 if timeout is None else min(max(timeout, 0.0), TIMEOUT_MAX)):
            return True
        if gate.release in self._callbacks:
            self._callbacks.remove(gate.release)
        return self._is_open

    def call(self, callback: Callable[[], object]) -> None:
        """Calls back once when it opens, on the thread that opens it, or now."""
        self._callbacks.append(callback)
        if self._is_open:
            self._call_all()

    def open(self) -> None:
        """Opens it."""
        self._is_open = True
        self._call_all()

    def _call_all(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.pop()
            except IndexError:
                # Another thread was faster.
                return
            callback()
