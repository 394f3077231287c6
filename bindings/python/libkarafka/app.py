"""An app: topics, their handlers, and their life.

Set up on one thread, then run; every method may be called from any thread, also from inside a handler (but for ``run``
and ``join``, which wait). A thread of the app's own, its host, sees the app to its end.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, NoReturn, TypeVar, overload

from . import _native
from .errors import ConfigError, Error, ForkedError, StoppedError
from .event import Event, Listener, Listeners, log
from .failures import Classes
from .failures import read as read_failures
from .handler import Handler, examine
from .latch import Latch
from .loop import Bridge, on_open
from .recurring import RecurringTasks
from .scheduler import serve
from .signals import end_process, obedience

_log = logging.getLogger("libkarafka")

# Seconds in which the log may take what was told last.
_LAST_WORDS = 1.0

Function = TypeVar("Function", bound=Callable[..., Any])


def pattern(compiled: re.Pattern[str]) -> str:
    """A compiled pattern as the core takes patterns of topics: text that begins with ``^``."""
    if compiled.flags & ~(re.IGNORECASE | re.UNICODE | re.ASCII):
        raise ConfigError(f"{compiled!r}: a pattern of topics takes the flag re.IGNORECASE only")
    return f"^{'(?i)' if compiled.flags & re.IGNORECASE else ''}{compiled.pattern}"


class App:
    """Reads topics as a member of consumer groups, and has their records handled.

    Options are keywords: ``bootstrap_servers``, ``group``, ``concurrency`` and all others of ``docs/configuration.md``;
    ``kafka={...}`` holds librdkafka's own settings. Times are milliseconds, text with a unit (``"10s"``) or ``timedelta``.
    Every problem is reported at once, by one ``ConfigError``. Nothing is started or connected to before ``run``.
    """

    def __init__(self, **options: Any) -> None:
        self._native = _native.App(options)
        self._handlers: list[Handler] = []
        self._listeners = Listeners(self._native)
        self._latch = Latch()
        self._outcome: BaseException | None = None
        self._process = os.getpid()
        self._questions: _native.Questions | None = None
        self._recurring: list[RecurringTasks] = []
        self._choose: Callable[..., Any] | None = None
        self._is_started = False
        self._is_terminated = False

    def consumer(
        self,
        topic: str | re.Pattern[str],
        *,
        virtual_partitions: Any = None,
        unique_by: Any = None,
        filter: Any = None,
        retry_on: Classes | None = None,
        discard_on: Classes = (),
        tick: Callable[..., Any] | None = None,
        eofed: Callable[..., Any] | bool | None = None,
        revoked: Callable[..., Any] | None = None,
        shutdown: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Callable[[Function], Function]:
        """Registers the decorated function as the handler of a topic, or of all topics whose names match a pattern as a whole:
        one of ``re.compile``, or text with a leading ``^``.

        It takes ``(batch)`` or ``(batch, context)`` (arguments with a default keep it), and is a plain function, called on the app's threads, or ``async def``,
        run in its event loop. What it returns is ignored; what it raises has the batch tried again.

        ``virtual_partitions`` is ``"by_key"``, a number, ``"round_robin"``, ``"off"``, or a function that gets a message
        and returns what takes the place of its key (bytes, str or int). ``unique_by`` is ``"key"``, ``"off"``, or a function
        that gets a message and returns what no two messages may have in common that are handled at the same time (None: it
        is not limited). ``filter`` is a function that gets a message and returns whether it is handled; what it skips
        counts as finished. Other options are those of a topic, such as
        ``group`` and ``max_messages``.

        A message for which an exception of ``discard_on`` (a class or several) is raised counts as done. Where
        ``retry_on`` is given, exceptions of other classes are not tried again: their message goes to the dead letter
        queue at once. ``dead_letter_queue_strategy`` is a function that gets each message that failed, its exception and
        a list of earlier ones (pairs of class and text), and returns ``"retry"``, ``"dispatch"``,
        ``("dispatch", topic)``, ``"skip"``, or None to leave it to the options.

        ``tick``, ``eofed``, ``revoked`` and ``shutdown`` are functions that take ``(context)`` or nothing, called as the
        handler is: when nothing happened for ``periodic_interval`` (for topics with ``periodic``); when the end of the
        partition was reached and no messages came along (which switches the option ``eofed`` on); when the partition goes,
        and when the app stops, once for each consumer that had messages or a tick.

        A class may be decorated, too: its method ``consume`` is the handler, and its methods of these names are the hooks;
        ``initialized`` is called before the first call of each object. With virtual partitions off or fixed, an object
        belongs to its virtual partition for as long as the process owns it, so that it may keep state; else it is made for
        the one call.
        """

        failures = read_failures(retry_on, discard_on, options)

        def register(function: Function) -> Function:
            partitioner, split = None, virtual_partitions
            if callable(virtual_partitions):
                partitioner, split = virtual_partitions, "callback"
            elif virtual_partitions == "callback":
                raise ConfigError("virtual_partitions = \"callback\": give the function itself")
            value, unique = None, unique_by
            if callable(unique_by):
                value, unique = unique_by, "callback"
            elif unique_by == "callback":
                raise ConfigError("unique_by = \"callback\": give the function itself")
            hooks = {"tick": tick, "eofed": eofed if callable(eofed) else None, "revoked": revoked, "shutdown": shutdown}
            handler = examine(function, partitioner, value, filter, failures, hooks)
            filters = None if filter is None else True
            ends = True if callable(eofed) else eofed
            named = {"virtual_partitions": split, "unique_by": unique, "filter": filters, "eofed": ends, **options}
            name = pattern(topic) if isinstance(topic, re.Pattern) else topic
            number, stays = self._native.add_topic(name, named, handler.is_async, list(handler.hooks))
            if handler.consumers is not None:
                handler.consumers.stays = stays
            self._handlers.insert(number, handler)
            return function

        return register

    def scheduled_messages(self, topic: str, **options: Any) -> None:
        """Sends the messages of a topic of scheduled messages (``Producer.schedule``) on when their time has come.

        Options: ``interval``, how often is looked for what is due (``"1s"``), and ``group``, the consumer group (the app's). The
        start checks that the topic is there and compacted.
        """
        self._native.scheduled_messages(topic, options)

    def recurring_tasks(self, topic: str, **options: Any) -> RecurringTasks:
        """Keeps recurring tasks in a topic: declare them by ``RecurringTasks.task``, before the start. Of all members of the group
        one runs them.

        Options: ``interval``, how often is looked for what is due (``"1s"``), ``group``, the consumer group (the app's),
        ``log_topic``, a topic that gets a record for each run (none), ``time_zone``, that of the patterns (``"UTC"``), and ``catch_up``,
        whether one run makes up for times that were missed (True). The start checks that the topic is there and compacted, and that
        the log's is there.
        """
        tasks = RecurringTasks(self._native.recurring_tasks(topic, options))
        self._recurring.append(tasks)
        return tasks

    def scheduler(self, function: Function) -> Function:
        """Has the decorated function decide whose turn it is when more work waits than may run at once.

        It gets a list of ``Candidate`` and returns them, or some of them, the best one first. It is called on a thread of its
        own; nobody waits for it but for a few milliseconds. What it raises is an event, and the app goes on without it.
        """
        self._questions = self._native.lend_scheduler()
        self._choose = function
        return function

    @overload
    def on(self, name: str, function: None = None) -> Callable[[Function], Function]: ...
    @overload
    def on(self, name: str, function: Listener) -> Listener: ...

    def on(self, name: str, function: Any = None) -> Any:
        """Has a function called with every event of this name, such as ``error.occurred``; also a decorator. ``rebalance.*``
        stands for all events that begin so, ``*`` for all.

        It runs on a thread of its own. Events that nobody listens to are logged by the logger ``libkarafka``. Those of
        single calls of handlers, such as ``consumer.consumed``, are made only when somebody names them.
        """
        if function is None:
            return lambda decorated: self.on(name, decorated)
        if not callable(function):
            raise TypeError(f"a listener must be a function, not {type(function).__name__}")
        self._listeners.add([name], function)
        return function

    def events(self, *names: str) -> Iterator[Event]:
        """Iterates over what happens from now on, or over the events of these names; ends when the app has stopped.
        ``next`` waits."""
        return self._listeners.subscribe(list(names) or None)

    def statistics(self, timeout: float = 5.0) -> dict[str, Any]:
        """How the app does now: its own gauges and the calls that run; of clients, brokers and lags only where
        ``statistics_interval`` is set or somebody listened to ``statistics.emitted`` before the start.

        Raises ``StoppedError`` unless the app runs, ``TimeoutError`` when it gives no answer within ``timeout`` seconds.
        """
        return self._native.statistics(timedelta(seconds=timeout))

    @property
    def phase(self) -> str:
        """Where the app is in its life: initialized, running, quieting, quiet, stopping or stopped."""
        return self._native.phase

    @property
    def options(self) -> dict[str, str]:
        """Every option with its value as text; secrets are replaced."""
        return dict(self._native.options())

    def run(self, *, signals: bool = False) -> None:
        """Starts, and returns when the app has stopped.

        With ``signals=True``, for programs that do nothing else (on the main thread): TERM, INT and QUIT stop it gracefully
        and raise nothing; a second one no longer waits for handlers; TSTP has it quiet, CONT goes on; TTIN writes to the
        standard error stream what every worker does, with its Python stack. Where handlers had to be left behind, it writes
        which, and ends the process with status 2 at once; with status 3 by SystemExit where ``stop_when_orphaned`` says so.

        Without:

        Ctrl-C stops it gracefully (running handlers may finish within ``shutdown_timeout``) and then raises
        KeyboardInterrupt; a second Ctrl-C waits no longer. So does any other exception of a signal handler. On the main
        thread SIGTERM stops it gracefully too, and a second one waits no longer, unless the program handles that signal itself. What a handler ended the
        program with (SystemExit, KeyboardInterrupt, MemoryError) is raised here.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("run() would block the running event loop; use `async with app.running():`")
        with obedience(self._native) if signals else self._stopped_by_sigterm():
            interruption: BaseException | None = None
            was_started = self._is_started
            try:
                self.start()
            except BaseException as raised:
                if was_started or not self._is_started:
                    raise
                # An interrupt of the start: what has begun is stopped like any other app.
                interruption = raised
                self.stop()
            interruption = self._wait_out(interruption)
            if signals:
                end_process(self._outcome)
        if interruption is not None:
            raise interruption
        self._raise_outcome()

    def start(self) -> None:
        """Starts, and returns at once. The interpreter's end stops what is still running, as ``stop`` does."""
        self._launch(None)

    def running(self) -> Running:
        """Runs while the block of ``async with app.running():`` does, with ``async def`` handlers in the running loop."""
        return Running(self)

    def stop(self, timeout: float | timedelta | None = None) -> None:
        """Asks the app to stop, and returns at once. Running handlers may finish within ``timeout`` seconds, by default the
        app's ``shutdown_timeout``; called again, a shorter time counts. May be called in any phase and in a handler."""
        if timeout is not None and not isinstance(timeout, timedelta):
            timeout = timedelta(seconds=timeout)
        self._native.stop(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Waits until the app has stopped, at most ``timeout`` seconds. Returns whether it has.

        Everybody who asks gets the same answer, also the second time. Raises what the app ended with: ``TimeoutError`` when handlers had to be left behind, the fatal error of a client,
        or what a handler ended the program with.
        """
        if os.getpid() != self._process:
            raise ForkedError("join: the app was made in the parent process and does not work after a fork")
        if not self._is_started:
            raise StoppedError("join: the app was not started")
        if threading.current_thread() is self._host or threading.current_thread() in self._listeners:
            raise RuntimeError("join() in a listener would wait for itself")
        if not self._latch.wait(timeout):
            return False
        self._raise_outcome()
        return True

    def quiet(self) -> None:
        """Starts no more calls of handlers; those that run go on, partitions are kept. ``resume`` undoes it."""
        self._native.quiet()

    def resume(self) -> None:
        """Handles again after ``quiet``."""
        self._native.resume()

    def resize(self, concurrency: int) -> None:
        """Changes how many calls of plain handlers run at once, while running."""
        self._native.resize(concurrency)

    def __repr__(self) -> str:
        options = self.options
        where = f"group={options['group']!r} bootstrap_servers={options['bootstrap_servers']!r}"
        return f"<libkarafka.App {where}, {self.phase}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle an App; make one in each process")

    def _launch(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Has the host thread start the app, and returns when it has. What a signal handler raises comes on the main thread, at any
        place: an app that was started there could be left behind half started, with nobody to stop it."""
        turn, gate = threading.Lock(), threading.Lock()
        gate.acquire()
        has_begun = False
        refusals: list[BaseException] = []

        def begun() -> None:
            nonlocal has_begun
            has_begun = True
            gate.release()

        def host() -> None:
            if not turn.acquire(blocking=False):
                # An interrupt was faster: nobody waits for a start.
                return
            try:
                teller, bridge = self._begin(loop)
            except BaseException as refused:
                refusals.append(refused)
                begun()
                return
            try:
                if self._questions is not None and self._choose is not None:
                    serve(self._questions, self._choose)
                self._listeners.start()
            except BaseException as refused:
                refusals.append(refused)
                self._native.stop()
            begun()
            self._serve(teller, bridge)

        # The interpreter waits for threads that are no daemons before it runs what stops the app.
        self._host = threading.Thread(target=host, name="karafka-host", daemon=True)
        try:
            self._host.start()
            gate.acquire()
        except BaseException:
            if not turn.acquire(blocking=False):
                # What the host has begun to start is stopped like any other app.
                self._native.stop()
                if not has_begun:
                    gate.acquire()
            raise
        if refusals:
            raise refusals.pop()

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> tuple[threading.Thread, Bridge | None]:
        """Starts, on the host thread."""
        handlers = tuple(self._handlers)
        events = self._native.unheard_events()
        bridge = None
        if any(handler.is_async for handler in handlers):
            bridge = Bridge(self._native, handlers, loop)
        try:
            self._native.start(list(handlers), None if bridge is None else bridge.wake)
        except BaseException:
            if bridge is not None:
                bridge.close()
            raise
        teller = threading.Thread(target=_tell, args=(events,), name="karafka-tell", daemon=True)
        try:
            teller.start()
        except BaseException:
            self._native.stop(timedelta(0))
            raise
        self._is_started = True
        # Registered at the start: what the program registered before it is still there while handlers finish.
        atexit.register(self._close)
        return teller, bridge

    def _serve(self, teller: threading.Thread, bridge: Bridge | None) -> None:
        """The host thread: sees the app to its end."""
        try:
            self._native.join()
        except BaseException as error:
            self._outcome = error
        # A log that nobody reads holds up no end.
        teller.join(_LAST_WORDS)
        if bridge is not None:
            bridge.close()
        ending = self._native.take_ending()
        if ending is not None:
            self._outcome = ending
        self._native.clear()
        self._listeners.end()
        atexit.unregister(self._close)
        self._latch.open()

    def _wait_out(self, first: BaseException | None) -> BaseException | None:
        """Waits for the end; the first exception that a signal handler raises stops the app and is returned after it."""
        while True:
            try:
                self._latch.wait()
                return first
            except BaseException as raised:
                if first is None:
                    first = raised
                    self.stop()
                else:
                    self.stop(0)

    def _raise_outcome(self) -> None:
        if self._outcome is not None:
            raise self._outcome

    @contextmanager
    def _stopped_by_sigterm(self) -> Iterator[None]:
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return

        def terminate(_number: int, _frame: FrameType | None) -> None:
            self.stop(0 if self._is_terminated else None)
            self._is_terminated = True

        signal.signal(signal.SIGTERM, terminate)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _close(self) -> None:
        """The interpreter ends while the app runs: stop, and wait without its lock."""
        if os.getpid() != self._process:
            return
        self.stop()
        self._wait_out(None)
        outcome = self._outcome
        if isinstance(outcome, Error):
            _log.error("the app ended with the program: %s", outcome)
            _native.interrupt_left_behind()


def _tell(events: _native.Events) -> None:
    """Logs what nobody listens to, until there is no more."""
    while (event := events.next()) is not None:
        log(Event(*event))


class Running:
    """An app that runs while a block does: ``async with app.running() as run:``."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __aenter__(self) -> Running:
        self._app._launch(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._app.stop()
        cancelled = await self._ended()
        if error is None:
            if cancelled is not None:
                raise cancelled
            self._app._raise_outcome()

    async def wait(self) -> None:
        """Waits until the app has stopped by itself, for example by ``app.stop()`` in a handler."""
        await self._end()

    def stop(self, timeout: float | timedelta | None = None) -> None:
        """Asks the app to stop, as ``App.stop``."""
        self._app.stop(timeout)

    async def _ended(self) -> asyncio.CancelledError | None:
        """Waits for the end also when cancelled; then running handlers are not waited for."""
        cancelled = None
        while True:
            try:
                await self._end()
                return cancelled
            except asyncio.CancelledError as error:
                cancelled = error
                self._app.stop(0)

    async def _end(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._app._latch.call(on_open(loop, future))
        await future
