"""One measured run of a Python handler. Prints one line of JSON; the environment is described in ../rust/reading.rs.

BENCH_STYLE: ``messages`` reads value and key of each message, ``columns`` the lists of all values and all keys."""

import json
import os
import threading
import time

import libkarafka

WANTED = int(os.environ["BENCH_MESSAGES"])
PAUSE = int(os.environ["BENCH_PAUSE_US"]) / 1e6

app = libkarafka.App(
    bootstrap_servers=os.environ["BENCH_BROKERS"],
    group=os.environ["BENCH_GROUP"],
    concurrency=int(os.environ["BENCH_WORKERS"]))
register = app.consumer(
    os.environ["BENCH_TOPIC"],
    virtual_partitions=os.environ["BENCH_VIRTUAL_PARTITIONS"],
    max_messages=int(os.environ["BENCH_MAX_MESSAGES"]),
    virtual_partitions_per_job=int(os.environ["BENCH_KEYS_PER_CALL"]))

lock = threading.Lock()
over = threading.Event()
began = ended = 0.0
handled = read = keys = 0


def count(messages: int, payload: int, key: int) -> None:
    global ended, handled, read, keys
    with lock:
        handled += messages
        read += payload
        keys += key
        if not ended and handled >= WANTED:
            ended = time.monotonic()
            over.set()


def begin() -> None:
    global began
    if not began:
        with lock:
            began = began or time.monotonic()


def columns(batch: libkarafka.Batch) -> None:
    begin()
    payload = sum(map(len, batch.values()))
    count(len(batch), payload, sum(key[-1] for key in batch.keys()))


def messages(batch: libkarafka.Batch) -> None:
    begin()
    payload = key = 0
    for message in batch:
        payload += len(message.value)
        key += message.key[-1]
    count(len(batch), payload, key)


def pauses(batch: libkarafka.Batch) -> None:
    begin()
    for message in batch:
        payload = len(message.value)
        time.sleep(PAUSE)
        count(1, payload, 0)


if PAUSE:
    register(pauses)
else:
    register({"columns": columns, "messages": messages}[os.environ["BENCH_STYLE"]])
app.start()
over.wait()
app.stop()
app.join()
print(json.dumps({"messages": WANTED, "seconds": ended - began, "handled": handled, "bytes": read}))
