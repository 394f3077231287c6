"""Transactions: records that become visible together, or not at all.

Blocks of ``with`` are transactions: committed at their end, aborted when an exception leaves them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from . import _native
from ._native import Context, DeliveryReport, Transaction


class AbortTransaction(Exception):
    """Raised in a transaction's block, ends it without a word: it is aborted, and the program goes on behind the block."""


class HandlerTransaction:
    """What ``Context.transaction`` returns: a block of ``with`` or ``async with``."""

    __slots__ = ("_context", "_transaction")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._transaction: Transaction | None = None

    def __enter__(self) -> Transaction:
        joined = self._context._open_transaction()
        if joined is not None:
            return joined
        self._transaction = self._context._begin_transaction()
        return self._transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return False  # The outermost block ends it.
        if kind is None:
            transaction._commit()
            return False
        transaction._abort()
        return issubclass(kind, AbortTransaction)

    async def __aenter__(self) -> Transaction:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return await asyncio.to_thread(self.__exit__, kind, error, traceback)


class TransactionalProducer:
    """Produces in transactions: their records become visible together, or not at all.

    Options are those of ``docs/configuration.md``, as keywords; ``transactional_id`` is needed. It connects and registers with
    its first transaction: an earlier producer of the same id is fenced by that, and what it left open is aborted. All threads may
    use it; one transaction is open at a time, and who wants the next one waits for its turn. From a coroutine, use it by
    ``asyncio.to_thread``.

    Raises ``ConfigError`` with every problem, and ``UnsupportedError`` for the embedded broker, which keeps no transactions.
    """

    def __init__(self, **options: Any) -> None:
        self._native = _native._TransactionalProducer(**options)
        self._open = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A block that is a transaction: committed at its end; aborted by an exception, which goes on, and by
        ``AbortTransaction``, which does not. Inside a transaction of the same thread the block joins it: nothing is committed
        before the outermost one ends.

        Raises ``TransactionError`` or ``TimeoutError`` when the transaction was aborted (``retriable``: do the whole again), or
        when its result is unknown (never retriable, the message says so); ``FencedError`` when another producer of the same
        ``transactional_id`` has taken over.
        """
        joined: Transaction | None = getattr(self._open, "transaction", None)
        if joined is not None:
            yield joined
            return
        transaction = self._native.begin(threading.get_ident())
        self._open.transaction = transaction
        try:
            yield transaction
        except BaseException as error:
            transaction._abort()
            if not isinstance(error, AbortTransaction):
                raise
            return
        finally:
            self._open.transaction = None
        transaction._commit()

    def produce_sync(self, *record: Any, **more: Any) -> DeliveryReport:
        """Sends a record in a transaction of its own, or in the one that this thread has open; parameters as of
        ``Producer.produce``."""
        with self.transaction() as transaction:
            return transaction.produce(*record, **more).wait()

    def produce_many_sync(self, records: Iterable[Any]) -> list[DeliveryReport]:
        """Sends records in a transaction of their own, or in the one that this thread has open."""
        with self.transaction() as transaction:
            return [delivery.wait() for delivery in transaction.produce_many(records)]

    def close(self) -> None:
        """Closes: waits for the open transaction of another thread, at most ``transaction_timeout``. Closing twice is no
        error."""
        self._native.close()

    def __enter__(self) -> TransactionalProducer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
