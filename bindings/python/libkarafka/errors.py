"""Exceptions: one class for each kind of error of the core.

Raised on whatever thread made the call. The text says what was tried, on what, what happened and what to do.
"""

from __future__ import annotations

import builtins
from typing import ClassVar


class Error(Exception):
    """An error of libkarafka."""

    kind: ClassVar[str] = "Internal"
    """The kind's name, the same in every language."""

    retriable: bool = False
    """Whether the same call may succeed later."""

    fatal: bool = False
    """Whether the app or producer cannot be used any more."""

    code: int | None = None
    """Kafka's own error code, where there is one; negative codes are librdkafka's."""

    exit_code: int = 1
    """The status with which a program should end that ends with this error: 2 when the stop was forced, 3 when the parent of
    the process is gone, else 1."""


class ConfigError(Error):
    """A setting is unknown, out of range or contradicts another. Nothing was started."""

    kind = "Config"


class BrokerError(Error):
    """A broker answered with an error, or none could be reached."""

    kind = "Broker"


class AuthError(Error):
    """Authentication or authorisation failed."""

    kind = "Auth"


class TimeoutError(Error, builtins.TimeoutError):
    """Something did not happen within its time."""

    kind = "Timeout"


class FencedError(Error):
    """Another member or producer has taken this one's place."""

    kind = "Fenced"


class NotOwnedError(Error):
    """The partition is no longer assigned to this process."""

    kind = "NotOwned"


class HandlerError(Error):
    """User code failed."""

    kind = "Handler"


class DeserializeError(Error):
    """Bytes could not be turned into a value."""

    kind = "Deserialize"


class TransactionError(Error):
    """A transaction could not be begun, committed or aborted."""

    kind = "Transaction"


class QueueFullError(Error):
    """A local queue is full."""

    kind = "QueueFull"


class StoppedError(Error):
    """The app or producer is stopped, or is not in a state that allows the call."""

    kind = "Stopped"


class ForkedError(Error):
    """The object belongs to the parent of this forked process; make a new one here."""

    kind = "Forked"


class UnsupportedError(Error):
    """The broker or the build cannot do this."""

    kind = "Unsupported"


class InternalError(Error):
    """A defect of libkarafka. Please report it."""

    kind = "Internal"


_CLASSES: dict[str, type[Error]] = {
    known.kind: known
    for known in (
        ConfigError,
        BrokerError,
        AuthError,
        TimeoutError,
        FencedError,
        NotOwnedError,
        HandlerError,
        DeserializeError,
        TransactionError,
        QueueFullError,
        StoppedError,
        ForkedError,
        UnsupportedError,
        InternalError,
    )
}


def _from_core(kind: str, text: str, retriable: bool, fatal: bool, code: int | None, exit_code: int) -> Error:
    error = _CLASSES.get(kind, Error)(text)
    error.retriable, error.fatal, error.code, error.exit_code = retriable, fatal, code, exit_code
    return error
