"""What a function has to be to handle a topic.

Looked at once, when it is registered, so that what cannot work is said at once and not in the first call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .failures import Failures


@dataclass(frozen=True, slots=True)
class Handler:
    """A function, and how it is to be called."""

    function: Callable[..., Any]
    takes_context: bool
    is_async: bool
    partitioner: Callable[..., Any] | None
    unique_by: Callable[..., Any] | None
    filter: Callable[..., Any] | None
    failures: Failures


def examine(function: Any, partitioner: Any, unique_by: Any, filter: Any, failures: Failures) -> Handler:
    """Says how a function is called, or raises TypeError for one that cannot handle batches."""
    if not callable(function):
        raise TypeError(f"a handler must be a function, not {type(function).__name__}")
    for asked in (partitioner, unique_by):
        if asked is not None and _is(inspect.iscoroutinefunction, asked):
            raise TypeError("a partitioner must be a plain function: it is asked before any call can be planned")
    if filter is not None and (not callable(filter) or _is(inspect.iscoroutinefunction, filter)):
        raise TypeError("a filter must be a plain function, which gets a message and says whether it is handled")
    if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
        raise TypeError(f"{_name(function)} is a generator: calling it runs nothing; leave `yield` out")
    return Handler(
        function=function,
        takes_context=_takes_context(function),
        is_async=_is(inspect.iscoroutinefunction, function),
        partitioner=partitioner,
        unique_by=unique_by,
        filter=filter,
        failures=failures,
    )


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    return kind(function) or kind(getattr(function, "__call__", None))


def _takes_context(function: Any) -> bool:
    try:
        signature = inspect.signature(function)
        signature.bind("batch")
    except ValueError:
        # Some builtins do not tell: a batch is what everything takes.
        return False
    except TypeError:
        takes_one = False
    else:
        takes_one = True
    # An argument that has a default keeps it: `lambda batch, number=number: ...` binds a loop's variable.
    takes_any = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in signature.parameters.values())
    if takes_one and not takes_any:
        return False
    try:
        signature.bind("batch", "context")
    except TypeError:
        raise TypeError(f"{_name(function)}{signature} must take (batch) or (batch, context)") from None
    return True


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
