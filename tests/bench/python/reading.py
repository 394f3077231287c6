"""One measured run of a Python handler. Prints one line of JSON; the environment is described in ../rust/reading.rs.

BENCH_STYLE: ``messages`` reads value and key of each message, ``columns`` the lists of all values and all keys; ``async`` waits
in an ``async def``, of which BENCH_WORKERS are under way at a time."""

import asyncio
import itertools
import json
import os
import threading
import time

import libkarafka

WANTED = int(os.environ["BENCH_MESSAGES"])
PAUSE = int(os.environ["BENCH_PAUSE_US"]) / 1e6
STYLE = os.environ["BENCH_STYLE"]

app = libkarafka.App(
    bootstrap_servers=os.environ["BENCH_BROKERS"],
    group=os.environ["BENCH_GROUP"],
    **{"async_concurrency" if STYLE == "async" else "concurrency": int(os.environ["BENCH_WORKERS"])})
register = app.consumer(
    os.environ["BENCH_TOPIC"],
    virtual_partitions=os.environ["BENCH_VIRTUAL_PARTITIONS"],
    max_messages=int(os.environ["BENCH_MAX_MESSAGES"]),
    virtual_partitions_per_job=int(os.environ["BENCH_KEYS_PER_CALL"]))

over = threading.Event()
began: list[float] = []
ended: list[float] = []
lock = threading.Lock()
handled = read = 0
# Counts in one step, without a lock.
paused = itertools.count(1)


def begin() -> None:
    if not began:
        began.append(time.monotonic())


def end() -> None:
    ended.append(time.monotonic())
    over.set()


def columns(batch: libkarafka.Batch) -> None:
    begin()
    payload = sum(map(len, batch.values()))
    key = sum(key[-1] for key in batch.keys())
    finish(batch, payload, key)


def messages(batch: libkarafka.Batch) -> None:
    begin()
    payload = key = 0
    for message in batch:
        payload += len(message.value)
        key += message.key[-1]
    finish(batch, payload, key)


def finish(batch: libkarafka.Batch, payload: int, key: int) -> None:
    assert key > 0
    tally(len(batch), payload)
    if not ended and handled >= WANTED:
        end()


def tally(messages: int, payload: int) -> None:
    global handled, read
    with lock:
        handled += messages
        read += payload


def pauses(batch: libkarafka.Batch) -> None:
    begin()
    payload = 0
    for message in batch:
        payload += len(message.value)
        time.sleep(PAUSE)
        if next(paused) == WANTED:
            end()
    tally(len(batch), payload)


async def tasks(batch: libkarafka.Batch) -> None:
    begin()
    payload = 0
    for message in batch:
        payload += len(message.value)
        await asyncio.sleep(PAUSE)
        if next(paused) == WANTED:
            end()
    tally(len(batch), payload)


if PAUSE:
    register(tasks if STYLE == "async" else pauses)
else:
    register(columns if STYLE == "columns" else messages)
app.start()
over.wait()
app.stop()
app.join()
print(json.dumps({
    "messages": WANTED, "seconds": ended[0] - began[0], "handled": handled, "bytes": read}))
