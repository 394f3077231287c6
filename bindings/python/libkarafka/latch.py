"""A door that opens once.

Waiting parks the thread, uses no processor, and is ended by signal handlers that raise.
"""

from __future__ import annotations

import os
import signal
import threading
from _thread import allocate_lock
from collections.abc import Callable
from select import POLLIN, poll
from threading import TIMEOUT_MAX
from time import monotonic


class Latch:
    """Opens once; lets everybody through from then on."""

    def __init__(self) -> None:
        self._is_open = False
        self._callbacks: list[Callable[[], object]] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is open, at most ``timeout`` seconds. Returns whether it is."""
        limit = TIMEOUT_MAX if timeout is None else min(max(timeout, 0.0), TIMEOUT_MAX)
        if threading.current_thread() is threading.main_thread():
            return self._wait_with_signals(limit)
        # Each wait has a gate of its own: one that an exception ends halfway leaves nothing locked for the others.
        gate = allocate_lock()
        gate.acquire()
        self.call(gate.release)
        if gate.acquire(timeout=limit):
            return True
        self._forget(gate.release)
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

    def _wait_with_signals(self, limit: float) -> bool:
        """Python calls signal handlers on the main thread, between two of its instructions. A signal that comes just before
        that thread waits for a lock would go unheeded until the next: so it waits for a bell that signals ring as well."""
        bell = _Bell()
        try:
            bell.listen()
            self.call(bell.ring)
            deadline = monotonic() + limit
            while not self._is_open and (left := deadline - monotonic()) > 0:
                bell.wait(left)
        finally:
            bell.leave()
            self._forget(bell.ring)
        return self._is_open

    def _forget(self, callback: Callable[[], object]) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    def _call_all(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.pop()
            except IndexError:
                # Another thread was faster.
                return
            callback()


class _Bell:
    """A pipe that threads and, for the time of a wait, the process's signals write to. Made and waited for on the main thread."""

    # A process has one place for such a pipe. Where the program has put its own there, a signal waits this long at most.
    _UNHEARD = 1.0

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._poll = poll()
        self._poll.register(self._out, POLLIN)
        self._longest = TIMEOUT_MAX

    def listen(self) -> None:
        """From now on signals ring it."""
        former = signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        if former != -1:
            signal.set_wakeup_fd(former)
            self._longest = self._UNHEARD

    def wait(self, timeout: float) -> None:
        """Waits until it is rung, at most ``timeout`` seconds."""
        # The argument of poll is an int of C, in milliseconds; whoever waits asks again.
        self._poll.poll(min(timeout, self._longest, 1_000_000) * 1000)
        try:
            os.read(self._out, 512)
        except BlockingIOError:
            pass

    def ring(self) -> None:
        """Ends the wait. On any thread."""
        try:
            os.write(self._in, b"\0")
        except BlockingIOError:
            # It is full of rings that were not heard yet.
            pass

    def leave(self) -> None:
        """Signals ring it no longer."""
        now = signal.set_wakeup_fd(-1)
        if now not in (self._in, -1):
            signal.set_wakeup_fd(now)

    def __del__(self) -> None:
        # Not when the wait ends: a thread that opens the latch at that moment may still be about to ring.
        if not hasattr(self, "_in"):
            # An exception of a signal handler ended the making of it.
            return
        try:
            # Again, for an exception of a signal handler may have ended it halfway.
            self.leave()
        except ValueError:
            # Not on the main thread.
            pass
        os.close(self._out)
        os.close(self._in)
