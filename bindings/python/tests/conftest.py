"""What every test starts from: a broker, a topic and a group of its own, and waits with deadlines.

The broker is the embedded one, or with ``BROKERS=host:port`` a Kafka; programs of their own always take the embedded one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import libkarafka
from kafka import Kafka

Broker = libkarafka.EmbeddedBroker | Kafka

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def broker() -> Broker:
    brokers = os.environ.get("BROKERS")
    return Kafka(brokers) if brokers else libkarafka.EmbeddedBroker("tests")


class Place:
    """A topic and a group that no other test uses, and what is made for them."""

    def __init__(self, broker: Broker) -> None:
        # The process is in the names for a Kafka that remembers earlier runs.
        number = f"{os.getpid()}-{next(_numbers)}"
        self.broker = broker
        self.group = f"group-{number}"
        self._topic, self._is_created = f"topic-{number}", False
        self._apps: list[libkarafka.App] = []
        self._producer: libkarafka.Producer | None = None

    @property
    def topic(self) -> str:
        if not self._is_created and isinstance(self.broker, Kafka):
            self.create(4)
        return self._topic

    def create(self, partitions: int = 1) -> str:
        self._is_created = True
        self.broker.create_topic(self._topic, partitions)
        return self._topic

    def app(self, **options: object) -> libkarafka.App:
        app = libkarafka.App(bootstrap_servers=self.broker.address, group=self.group, **options)
        self._apps.append(app)
        return app

    @property
    def producer(self) -> libkarafka.Producer:
        if self._producer is None:
            self._producer = libkarafka.Producer(bootstrap_servers=self.broker.address)
        return self._producer

    def fill(self, count: int, keys: int = 1, partition: int | None = 0) -> None:
        """Records with the values 0, 1, ... and the keys k0, k1, ... in turn."""
        records = [
            {"topic": self.topic, "value": str(n), "key": f"k{n % keys}", "partition": partition} for n in range(count)
        ]
        for delivery in self.producer.produce_many(records):
            delivery.wait(10)

    def close(self) -> None:
        for app in self._apps:
            if app.phase != "initialized":
                app.stop(5)
                try:
                    app.join(10)
                except (libkarafka.Error, SystemExit, KeyboardInterrupt, MemoryError):
                    pass
        if self._producer is not None:
            self._producer.close()


@pytest.fixture
def place(broker: Broker) -> Iterator[Place]:
    place = Place(broker)
    yield place
    place.close()


def eventually(condition: Callable[[], object], within: float = 15.0) -> None:
    """Waits for an effect; fails when it does not come in time."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {within} s"
        pause.wait(0.005)


class Program:
    """A Python program in a process of its own, with the package on its path."""

    def __init__(self, source: str) -> None:
        arguments = [sys.executable, "-X", "faulthandler", "-u", "-c", PREAMBLE + textwrap.dedent(source)]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ), start_new_session=True
        )

    def read_until(self, word: str) -> None:
        """Reads the program's output up to a line with this word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if word in line:
                return
        self.process.wait(30)
        raise AssertionError(f"the program never said {word!r}: {self.process.stderr and self.process.stderr.read()}")

    def end(self, within: float = 30.0) -> tuple[int, str, str]:
        """Its exit status, output and errors."""
        try:
            out, errors = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            # What its threads did is told by faulthandler. Its children have its streams, too.
            self.process.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            out, errors = self.process.communicate()
            raise AssertionError(f"still running after {within} s\n{out}\n{errors}") from None
        return self.process.returncode, out, errors


PREAMBLE = """
import asyncio, os, sys, threading, time
import libkarafka
broker = libkarafka.EmbeddedBroker()
broker.create_topic("t", 2)
producer = libkarafka.Producer(bootstrap_servers="embedded://")
def fill(count=10):
    for delivery in producer.produce_many([dict(topic="t", value=str(n), key=str(n)) for n in range(count)]):
        delivery.wait(10)
def make(**options):
    return libkarafka.App(bootstrap_servers="embedded://", group="g", **options)
"""

PACKAGE = Path(libkarafka.__file__).parent
