"""Signals that an app obeys when its program wants that.

Python owns the process's signals: its handlers run on the main thread, and hand each signal to the core, which decides.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from . import _native
from .errors import Error

_OBEYED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT, signal.SIGTTIN)

_FORCED = 2
_ORPHANED = 3


@contextmanager
def obedience(app: _native.App) -> Iterator[None]:
    """Has the app obey the process's signals for the time of a block. Only on the main thread, as Python has it."""

    def obey(number: int, _frame: FrameType | None) -> None:
        app.notice_signal(signal.Signals(number).name)
        if number == signal.SIGTTIN:
            _write(backtraces())

    former = {number: signal.signal(number, obey) for number in _OBEYED}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def end_process(outcome: BaseException | None) -> None:
    """Ends the process where the app was forced to stop or lost its parent."""
    if not isinstance(outcome, Error):
        return
    if outcome.exit_code == _FORCED:
        _write(f"libkarafka: {outcome}\n{backtraces()}")
        try:
            sys.stdout.flush()
        except (OSError, ValueError, AttributeError):
            pass
        # Whatever still runs may hold locks that an orderly end would wait for.
        os._exit(_FORCED)
    if outcome.exit_code == _ORPHANED:
        _write(f"libkarafka: {outcome}\n")
        raise SystemExit(_ORPHANED)


def backtraces() -> str:
    """The Python stacks of all threads of the core that are in user code, and of the program's own."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    workers = dict(_native.workers())
    text = []
    for ident, frame in sys._current_frames().items():
        if ident in workers:
            text.append(f"  thread {workers[ident]}, a worker of libkarafka:\n")
        else:
            text.append(f"  {names.get(ident, 'a thread')}:\n")
        text.extend(f"  {line}" for line in traceback.format_stack(frame))
    return "".join(text)


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, RuntimeError, AttributeError):
        # Nobody reads it any more, it is closed, being written to by what the signal has interrupted, or not there at all.
        pass
