"""Process Apache Kafka topics in parallel, in order per key, losing nothing.

    import libkarafka

    app = libkarafka.App(bootstrap_servers="localhost:9092", group="billing")

    @app.consumer("orders", virtual_partitions="by_key")
    def bill(batch):
        for message in batch:
            print(message.key, message.value)

    app.run()

Handlers are plain functions, which run on threads of the library's own, or ``async def``, which run in one event loop,
thousands at a time. A handler that returns has its messages committed; one that raises gets them again.
"""

import atexit as _atexit

from ._native import (
    LIBRDKAFKA_VERSION,
    VERSION,
    Batch,
    BatchMetadata,
    Context,
    Deliveries,
    Delivery,
    DeliveryReport,
    EmbeddedBroker,
    Message,
    Producer,
    Transaction,
)
from ._native import close as _close
from .admin import Acl, Admin, DeclaredTopic, NewTopic, Outcome
from .app import App, Running
from .errors import (
    AuthError,
    BrokerError,
    ConfigError,
    DeserializeError,
    Error,
    FencedError,
    ForkedError,
    HandlerError,
    InternalError,
    NotOwnedError,
    QueueFullError,
    StoppedError,
    TimeoutError,
    TransactionError,
    UnsupportedError,
)
from .event import Event
from .reader import Place, Reader
from .recurring import RecurringTasks, TaskRun
from .transaction import AbortTransaction, TransactionalProducer

__all__ = [
    "AbortTransaction",
    "Acl",
    "Admin",
    "App",
    "AuthError",
    "Batch",
    "BatchMetadata",
    "BrokerError",
    "ConfigError",
    "Context",
    "Deliveries",
    "DeclaredTopic",
    "Delivery",
    "DeliveryReport",
    "DeserializeError",
    "EmbeddedBroker",
    "Error",
    "Event",
    "FencedError",
    "ForkedError",
    "HandlerError",
    "InternalError",
    "LIBRDKAFKA_VERSION",
    "Message",
    "NewTopic",
    "NotOwnedError",
    "Outcome",
    "Place",
    "Producer",
    "QueueFullError",
    "Reader",
    "RecurringTasks",
    "Running",
    "StoppedError",
    "TaskRun",
    "TimeoutError",
    "Transaction",
    "TransactionError",
    "TransactionalProducer",
    "UnsupportedError",
    "__version__",
]

__version__ = VERSION

# Each started app registers its own end, later than this and so run before it.
_atexit.register(_close)
