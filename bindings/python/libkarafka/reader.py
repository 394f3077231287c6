"""Reading topics without a group: nothing is joined or committed.

Everything here is called by one thread at a time, and waits without the interpreter's lock; Ctrl-C ends every wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, NamedTuple, Union

from . import _native
from ._native import Batch, Message

ReadFrom = Union[int, str, datetime]
"""Where reading begins: ``"earliest"``, ``"latest"``, an offset, a negative offset (so many before the end), or an aware
``datetime``."""


class Place(NamedTuple):
    """How far one partition is read."""

    topic: str
    partition: int
    start: int
    """Where reading began."""
    next: int
    """The offset of the next record at the earliest."""
    end: int
    """Where the log ended when the reader was opened."""
    is_done: bool
    """Whether everything that was asked for is read."""


class Reader:
    """Reads topics without a group; an iterator of messages, until everything was read.

        with libkarafka.Reader("orders", start=-10, bootstrap_servers="localhost:9092") as reader:
            for message in reader:
                print(message.offset, message.value)

    Topics are names, or dicts of names and places: of a place for the whole topic, or of a dict of partitions and places. ``start``
    is the place of topics that are given by name, in the ``partitions`` (all of them when there are none). Other options are those
    of ``docs/configuration.md`` for a reader. No right is needed but to read the topics. One thread reads at a time.

    Raises ``ConfigError`` for a bad option, a partition that does not exist or an offset beyond the end of its log; ``BrokerError``
    when a topic does not exist; ``AuthError`` without the right to read it; ``TimeoutError`` when no broker answered;
    ``UnsupportedError`` for a time on the embedded broker.
    """

    def __init__(
        self,
        *topics: str | Mapping[str, ReadFrom | Mapping[int, ReadFrom]],
        start: ReadFrom = "earliest",
        partitions: Iterable[int] = (),
        **options: Any,
    ) -> None:
        chosen = list(partitions)
        selections = []
        for topic in topics:
            if isinstance(topic, str):
                selections.append(_select(topic, chosen, start))
                continue
            for name, places in topic.items():
                if isinstance(places, Mapping):
                    selections.extend(_select(name, [partition], place) for partition, place in places.items())
                else:
                    selections.append(_select(name, [], places))
        self._native = _native._Reader(selections, options)
        self._messages: Iterator[Message] = iter(())

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Message:
        """The next message. Raises as ``read``; it can be asked again after each error."""
        while True:
            message = next(self._messages, None)
            if message is not None:
                return message
            batch = self._native.next(None)
            if batch is None:
                raise StopIteration
            self._messages = iter(batch)

    def batches(self) -> Iterator[Batch]:
        """Batches of one partition each, until everything was read: faster than message by message."""
        while (batch := self.read()) is not None:
            yield batch

    def read(self, timeout: float | None = None) -> Batch | None:
        """Waits for the next batch, of one partition; None when everything was read. Waits so many seconds or, without a number,
        as the options say: ``timeout`` without a message or, with ``until="forever"``, as long as it takes.

        Raises ``TimeoutError`` when nothing came in time; ``BrokerError`` when messages were deleted before they were read
        (reading goes on with the oldest that is left) or a broker refuses; ``AuthError`` when the right was taken away;
        ``DeserializeError`` for a message that is encrypted and does not open, which is passed over; ``StoppedError`` when it is closed or another thread reads; ``ForkedError`` in a child process.
        """
        return self._native.next(timeout)

    @property
    def places(self) -> list[Place]:
        """Where each partition is."""
        return [Place(*place) for place in self._native.places()]

    def stop_partition(self, topic: str, partition: int) -> bool:
        """Reads no more of a partition; what was fetched of it already is dropped. Returns whether it was being read."""
        return self._native.stop_partition(topic, partition)

    def close(self) -> None:
        """Disconnects. Messages that were read may be used on. Closing twice is no error."""
        self._native.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _select(topic: str, partitions: list[int], place: ReadFrom) -> tuple[str, list[int], str, int]:
    if isinstance(place, datetime):
        if place.tzinfo is None:
            raise ValueError("reading begins at an aware datetime: this one has no time zone")
        since = place - datetime(1970, 1, 1, tzinfo=timezone.utc)
        milliseconds = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
        return topic, partitions, "time", milliseconds
    if isinstance(place, int) and not isinstance(place, bool):
        return topic, partitions, "offset", place
    if place in ("earliest", "latest"):
        return topic, partitions, str(place), 0
    raise ValueError(f'reading begins at "earliest", "latest", an offset or a datetime, not {place!r}')
