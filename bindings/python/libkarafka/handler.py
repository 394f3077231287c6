"""What a function or a class has to be to handle a topic.

Looked at once, when it is registered, so that what cannot work is said at once and not in the first call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .consumers import Consumers, takes
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
    hooks: dict[str, Callable[..., Any]]
    consumers: Consumers | None


def examine(
    function: Any,
    partitioner: Any,
    unique_by: Any,
    filter: Any,
    failures: Failures,
    hooks: dict[str, Any] | None = None,
) -> Handler:
    """Says how a function or a class is called, or raises TypeError for one that cannot handle batches."""
    if not callable(function):
        raise TypeError(f"a handler must be a function, not {type(function).__name__}")
    given = {name: hook for name, hook in (hooks or {}).items() if hook is not None}
    consumers = None
    if inspect.isclass(function):
        if given:
            raise TypeError(f"{_name(function)} is a class: make {', '.join(given)} its methods")
        consumers = Consumers(function)
        function, given = consumers.function(), consumers.hooks()
    for asked in (partitioner, unique_by):
        if asked is not None and _is(inspect.iscoroutinefunction, asked):
            raise TypeError("a partitioner must be a plain function: it is asked before any call can be planned")
    if filter is not None and (not callable(filter) or _is(inspect.iscoroutinefunction, filter)):
        raise TypeError("a filter must be a plain function, which gets a message and says whether it is handled")
    if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
        raise TypeError(f"{_name(function)} is a generator: calling it runs nothing; leave `yield` out")
    is_async = _is(inspect.iscoroutinefunction, function)
    return Handler(
        function=function,
        takes_context=_takes_context(function),
        is_async=is_async,
        partitioner=partitioner,
        unique_by=unique_by,
        filter=filter,
        failures=failures,
        hooks={name: hook if consumers else _hook(name, hook, is_async) for name, hook in given.items()},
        consumers=consumers,
    )


def _hook(name: str, hook: Any, is_async: bool) -> Callable[..., Any]:
    """A hook as a function of a context."""
    if not callable(hook):
        raise TypeError(f"{name} must be a function, not {type(hook).__name__}")
    if _is(inspect.iscoroutinefunction, hook) and not is_async:
        raise TypeError(f"{name} is `async def`, and its handler is not: make both the same")
    if takes(hook, "context"):
        return hook  # type: ignore[no-any-return]
    if not takes(hook):
        raise TypeError(f"{name} must take (context) or nothing")
    return lambda _context: hook()


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
