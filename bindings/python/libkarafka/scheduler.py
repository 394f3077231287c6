"""Whose turn it is, decided by a function.

Runs on a thread of its own while the app does. What the function returns is advice: see ``docs/options/scheduling.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import _native


@dataclass(frozen=True, slots=True)
class Candidate:
    """A virtual partition that waits for its turn; times are seconds."""

    topic: str
    partition: int
    virtual_partition: int
    messages: int
    waited: float
    priority: int
    cost: float
    _place: int = field(repr=False)


def serve(questions: _native.Questions, choose: Callable[[list[Candidate]], Iterable[Candidate]]) -> None:
    """Answers questions until the app has stopped."""

    def answer() -> None:
        while (columns := questions.next()) is not None:
            candidates = [Candidate(*column, place) for place, column in enumerate(columns)]
            try:
                questions.answer([chosen._place for chosen in choose(candidates)])
            except Exception as error:
                questions.fail(type(error).__name__, str(error))

    threading.Thread(target=answer, name="karafka-choose", daemon=True).start()
