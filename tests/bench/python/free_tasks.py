"""The reference for ``async def`` handlers: aiokafka and a task for each message, BENCH_WORKERS of them at a time, in no order
at all. Prints one line of JSON; the environment is described in ../rust/reading.rs."""

import asyncio
import json
import os
import sys
import time

import aiokafka
from aiokafka.record import default_records

if "--version" in sys.argv:
    decoder = "C" if default_records.DefaultRecordBatch.__module__.endswith("_crecords.default_records") else "Python"
    print(f"aiokafka {aiokafka.__version__} with its decoder in {decoder}")
    sys.exit()

WANTED = int(os.environ["BENCH_MESSAGES"])
PAUSE = int(os.environ["BENCH_PAUSE_US"]) / 1e6


async def main() -> None:
    consumer = aiokafka.AIOKafkaConsumer(
        os.environ["BENCH_TOPIC"], bootstrap_servers=os.environ["BENCH_BROKERS"], group_id=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest")
    await consumer.start()
    free = asyncio.Semaphore(int(os.environ["BENCH_WORKERS"]))
    over = asyncio.get_running_loop().create_future()
    tasks = set()
    handled = read = 0
    began = None

    async def handle(message: aiokafka.ConsumerRecord) -> None:
        nonlocal handled, read
        read += len(message.value)
        await asyncio.sleep(PAUSE)
        handled += 1
        free.release()
        if handled == WANTED:
            over.set_result(time.monotonic())

    while not over.done():
        batches = await consumer.getmany(timeout_ms=1_000, max_records=1_000)
        for message in (message for batch in batches.values() for message in batch):
            await free.acquire()
            began = began or time.monotonic()
            task = asyncio.create_task(handle(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    await consumer.stop()
    print(json.dumps({"messages": WANTED, "seconds": over.result() - began, "handled": handled, "bytes": read}))


asyncio.run(main())
