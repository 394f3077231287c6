"""What a topic is told about its handler's exceptions, beside the options of all languages.

Read once, when a handler is registered, so that what cannot work is said at once and not after the first failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Union

Classes = Union[type[BaseException], Iterable[type[BaseException]]]


@dataclass(frozen=True, slots=True)
class Failures:
    """Classes of exceptions, and a function that decides."""

    retry_on: tuple[type[BaseException], ...] | None
    discard_on: tuple[type[BaseException], ...]
    strategy: Callable[..., Any] | None


def read(retry_on: Classes | None, discard_on: Classes, options: dict[str, Any]) -> Failures:
    """Takes a strategy out of the options, and leaves there what the core is to know of it."""
    strategy = None
    group = options.get("dead_letter_queue")
    if isinstance(group, dict) and callable(group.get("strategy")):
        strategy = group["strategy"]
        options["dead_letter_queue"] = {**group, "strategy": True}
    elif callable(options.get("dead_letter_queue_strategy")):
        strategy = options["dead_letter_queue_strategy"]
        options["dead_letter_queue_strategy"] = True
    return Failures(
        retry_on=None if retry_on is None else _classes("retry_on", retry_on),
        discard_on=_classes("discard_on", discard_on),
        strategy=strategy,
    )


def _classes(name: str, given: Classes) -> tuple[type[BaseException], ...]:
    classes = (given,) if isinstance(given, type) else tuple(given)
    for found in classes:
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            raise TypeError(f"{name} takes classes of exceptions, not {found!r}")
    return classes
