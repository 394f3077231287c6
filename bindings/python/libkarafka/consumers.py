"""Classes of consumers: objects that handle, tick, and hear of the end.

With virtual partitions off or fixed an object belongs to its virtual partition for as long as the process owns it; else it is
made for the one call. Called on the threads that run handlers, or in their event loop; the core calls no object twice at
once, but for ``revoked`` with ``long_running_job``.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

from ._native import Batch, Context

HOOKS = ("tick", "eofed", "revoked", "shutdown")

_FAREWELLS = ("revoked", "shutdown")


def takes(function: Any, *arguments: str) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        # Some builtins do not tell.
        return True
    return True


class _Kept:
    """An object that stays until its partition goes, and until it has heard of that where it wants to."""

    __slots__ = ("consumer", "context", "expects_farewell")

    def __init__(self, consumer: Any, context: Context) -> None:
        self.consumer = consumer
        self.context = context
        self.expects_farewell = False

    def is_gone(self) -> bool:
        return not self.expects_farewell and self.context.revoked


class Consumers:
    """The objects of one class, for one topic."""

    def __init__(self, consumer_class: type) -> None:
        self._class = consumer_class
        self._kept: dict[tuple[int, int], _Kept] = {}
        self._lock = threading.Lock()
        # Known when the topic is registered.
        self.stays = False
        self._methods = {name: self._method(name) for name in ("consume", "initialized", *HOOKS) if hasattr(consumer_class, name)}
        if "consume" not in self._methods:
            raise TypeError(f"{consumer_class.__qualname__} has no method consume")
        self._is_async = self._methods["consume"][1]
        for name, (_, is_async) in self._methods.items():
            if is_async and not self._is_async:
                raise TypeError(f"{consumer_class.__qualname__}.{name} is `async def`, and consume is not: make both the same")

    def _method(self, name: str) -> tuple[bool, bool]:
        """Whether a method takes a context, and whether it is ``async def``."""
        method = getattr(self._class, name)
        wanted = ["batch"] if name == "consume" else []
        # As a method that is bound to an object.
        bound = method.__get__(object()) if inspect.isfunction(method) else method
        if not callable(bound):
            raise TypeError(f"{self._class.__qualname__}.{name} must be a method")
        if inspect.isgeneratorfunction(bound) or inspect.isasyncgenfunction(bound):
            raise TypeError(f"{self._class.__qualname__}.{name} is a generator: calling it runs nothing; leave `yield` out")
        takes_context = takes(bound, *wanted, "context")
        if not takes_context and not takes(bound, *wanted):
            raise TypeError(f"{self._class.__qualname__}.{name} must take ({', '.join(['self', *wanted])}), and may take a context")
        return takes_context, inspect.iscoroutinefunction(bound)

    def _call(self, consumer: Any, name: str, *arguments: Any) -> Any:
        """Calls a method with what it takes; a coroutine of an ``async def`` is returned."""
        takes_context, _ = self._methods[name]
        return getattr(consumer, name)(*(arguments if takes_context else arguments[:-1]))

    def _find(self, context: Context, name: str) -> tuple[Any, bool]:
        """The object for a call, and whether it is new."""
        part = context.virtual_partition if self.stays else None
        if part is None:
            return self._class(), True
        key = (context.ownership, part)
        with self._lock:
            kept = self._kept.pop(key, None) if name in _FAREWELLS else self._kept.get(key)
        if kept is None:
            # The core runs one call of a virtual partition at a time, so nobody else makes this one meanwhile.
            return self._class(), True
        kept.expects_farewell |= "revoked" in self._methods and name != "eofed"
        return kept.consumer, False

    def _keep(self, consumer: Any, context: Context, name: str) -> None:
        """Keeps a new object, once it is initialized."""
        part = context.virtual_partition if self.stays else None
        if part is None or name in _FAREWELLS:
            return
        kept = _Kept(consumer, context)
        kept.expects_farewell = "revoked" in self._methods and name != "eofed"
        with self._lock:
            for key in [key for key, other in self._kept.items() if other.is_gone()]:
                del self._kept[key]
            self._kept[context.ownership, part] = kept

    def _run(self, name: str, context: Context, *arguments: Any) -> Any:
        consumer, is_new = self._find(context, name)
        if is_new:
            if "initialized" in self._methods:
                self._call(consumer, "initialized", context)
            self._keep(consumer, context, name)
        return self._call(consumer, name, *arguments, context)

    async def _run_async(self, name: str, context: Context, *arguments: Any) -> None:
        consumer, is_new = self._find(context, name)
        if is_new:
            if "initialized" in self._methods:
                outcome = self._call(consumer, "initialized", context)
                if inspect.isawaitable(outcome):
                    await outcome
            self._keep(consumer, context, name)
        outcome = self._call(consumer, name, *arguments, context)
        if inspect.isawaitable(outcome):
            await outcome

    def function(self) -> Callable[..., Any]:
        """What handles a batch."""
        if not self._is_async:
            return lambda batch, context: self._run("consume", context, batch)

        async def consume(batch: Batch, context: Context) -> None:
            await self._run_async("consume", context, batch)

        return consume

    def hooks(self) -> dict[str, Callable[..., Any]]:
        """What is called beside batches, by the names of hooks."""
        run = self._run_async if self._is_async else self._run

        def hook(name: str) -> Callable[[Context], Any]:
            return lambda context: run(name, context)

        return {name: hook(name) for name in HOOKS if name in self._methods}
