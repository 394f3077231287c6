"""What the handlers saw: a file for each start of a handler's process, one line when a call begins and one when it ends.

    + 17 1203 1890     call 17 begins, with the flights of these rows, in this order
    - 17               call 17 has ended well; "! 17": it has failed

Written by the handlers of all three languages, read by the demo: for its progress while they run, for its report at the
end.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class Journal:
    """Writes a journal. Calls may come from any thread; a thread of its own writes ten times a second."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "w", encoding="ascii")
        self._numbers = itertools.count(1)
        # Appending is atomic, and its order is that of the calls: handlers never wait for the disk.
        self._lines: deque[str] = deque()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    @contextmanager
    def call(self, rows: Sequence[str]) -> Iterator[None]:
        """What a call does."""
        number = next(self._numbers)
        self._lines.append(f"+ {number} {' '.join(rows)}\n")
        try:
            yield
        except BaseException:
            self._lines.append(f"! {number}\n")
            raise
        self._lines.append(f"- {number}\n")

    def close(self) -> None:
        """Writes what is left. No call may come after it."""
        self._closing.set()
        self._writer.join()

    def _write(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(0.1)
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            self._file.write("".join(lines))
            self._file.flush()
        self._file.close()


class Reader:
    """Follows a journal while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None
        self._rest = ""
        self._open: dict[str, list[int]] = {}

    @property
    def running(self) -> int:
        """How many calls have begun and not ended."""
        return len(self._open)

    def ended(self) -> Iterator[list[int]]:
        """The rows of every call that has ended since the last look."""
        for sign, rows in self.events():
            if sign == "-":
                yield rows

    def events(self) -> Iterator[tuple[str, list[int]]]:
        """What was written since the last look: "+", "-" or "!", and the call's rows."""
        if self._file is None:
            try:
                self._file = open(self.path, encoding="ascii")
            except FileNotFoundError:
                return
        lines = (self._rest + self._file.read()).split("\n")
        self._rest = lines.pop()
        for line in lines:
            sign, number, *rows = line.split(" ")
            if sign == "+":
                self._open[number] = list(map(int, rows))
                yield sign, self._open[number]
            else:
                yield sign, self._open.pop(number)
