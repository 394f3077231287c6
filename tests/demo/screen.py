"""What a person sees while the demo runs: bars that move on a terminal, a line every two seconds elsewhere.

Used by the demo's main thread only. NO_COLOR and TERM=dumb are respected.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass

PLAIN_INTERVAL = 2.0


@dataclass
class Row:
    """A step's progress."""

    name: str
    done: int
    total: int
    lag: int | None = None
    running: int | None = None


class Screen:
    """Shows rows again and again, in place where that is possible."""

    def __init__(self) -> None:
        self._out = sys.stdout
        is_terminal = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._moves = is_terminal
        self._colours = is_terminal and not os.environ.get("NO_COLOR")
        self._drawn = 0
        self._began = time.monotonic()
        self._last_plain = self._began
        self._past: dict[str, deque[tuple[float, int]]] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._moved: dict[str, float] = {}

    def say(self, text: str = "") -> None:
        """Prints a line for good."""
        print(text, file=self._out, flush=True)

    def colour(self, code: str, text: str) -> str:
        """The text in a colour, where colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def show(self, rows: list[Row], final: bool = False) -> None:
        """Shows where every step is."""
        now = time.monotonic()
        rates = [self._rate(row, now, final) for row in rows]
        if self._moves:
            width = shutil.get_terminal_size().columns
            numbers = [self._numbers(row, rate) for row, rate in zip(rows, rates)]
            cells = max(8, min(40, width - 19 - max(map(len, numbers))))
            lines = [self._bar(row, cells) + text for row, text in zip(rows, numbers)]
            back = f"\x1b[{self._drawn}F" if self._drawn else ""
            print(back + "".join(f"\x1b[2K{line}\n" for line in lines), end="", file=self._out, flush=True)
            self._drawn = len(lines)
        elif final or now - self._last_plain >= PLAIN_INTERVAL:
            self._last_plain = now
            self.say(f"{now - self._began:5.1f} s  " + "; ".join(map(self._plain, rows, rates)))

    def _rate(self, row: Row, now: float, final: bool) -> float:
        """Messages a second: over the last two seconds, at the end from the first message to the last."""
        past = self._past.setdefault(row.name, deque())
        if not past or row.done == past[0][1] == self._first[row.name][1]:
            self._first[row.name] = (now, row.done)
        if not past or row.done > past[-1][1]:
            self._moved[row.name] = now
        past.append((now, row.done))
        while len(past) > 2 and past[1][0] <= now - 2:
            past.popleft()
        then, before = self._first[row.name] if final else past[0]
        until = self._moved[row.name] if final else now
        return (row.done - before) / (until - then) if until > then else 0.0

    def _numbers(self, row: Row, rate: float) -> str:
        text = f"{row.done:>9,}  {rate:>7,.0f}/s"
        if row.lag is not None:
            text += f"  lag {row.lag:>7,}"
        if row.running is not None:
            text += f"  {row.running:>3} running"
        return text

    def _bar(self, row: Row, cells: int) -> str:
        eighths = 0 if row.total == 0 else min(cells * 8, row.done * cells * 8 // row.total)
        full, part = divmod(eighths, 8)
        bar = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
        return f"  {row.name:<16}{self.colour('36', f'{bar:<{cells}}')}"

    def _plain(self, row: Row, rate: float) -> str:
        text = f"{row.name} {row.done:,}, {rate:,.0f}/s"
        if row.lag is not None:
            text += f", lag {row.lag:,}"
        if row.running:
            text += f", {row.running} running"
        return text
