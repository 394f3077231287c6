"""BENCH_WORKERS threads that only sleep BENCH_PAUSE_US, until they have slept BENCH_MESSAGES times: what CPython's threads
give to handlers that wait, without any Kafka. Prints one line of JSON."""

import itertools
import json
import os
import threading
import time

WANTED = int(os.environ["BENCH_MESSAGES"])
PAUSE = int(os.environ["BENCH_PAUSE_US"]) / 1e6

count = itertools.count(1)
began: list[float] = []
ended: list[float] = []


def work() -> None:
    if not began:
        began.append(time.monotonic())
    slept = 0
    while slept < WANTED and not ended:
        time.sleep(PAUSE)
        slept = next(count)
        if slept == WANTED:
            ended.append(time.monotonic())


threads = [threading.Thread(target=work) for _ in range(int(os.environ["BENCH_WORKERS"]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"messages": WANTED, "seconds": ended[0] - began[0], "handled": WANTED, "bytes": 0}))
