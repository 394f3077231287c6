"""Sends records on in blocks of ``async with`` that commit together, each at its second attempt: transact.py BROKERS GROUP FROM TO COUNT."""

import asyncio
import sys

import libkarafka

brokers, group, source, target, count = sys.argv[1:]
app = libkarafka.App(bootstrap_servers=brokers, group=group, concurrency=8)
sent = 0


@app.consumer(source, virtual_partitions="by_key", retry_backoff=20, transaction={"max_messages": 100, "max_ms": 20})
async def send_on(batch, context):
    global sent
    async with context.transaction() as transaction:
        for message in batch:
            delivery = transaction.produce(target, message.value, key=message.key)
            transaction.mark_as_consumed(message)
        async with context.transaction() as joined:
            assert joined.is_open
        if context.attempt == 1:
            raise OSError("after it has produced")
        if context.attempt == 2:
            raise libkarafka.AbortTransaction
    if context.attempt == 2:
        raise OSError("what was aborted without a word was not marked")
    # The block has returned: it is committed, and the end of each record is known.
    assert (await delivery).topic == target
    sent += len(batch)


async def main():
    async with app.running():
        async with asyncio.timeout(60):
            while sent < int(count):
                await asyncio.sleep(0.01)


asyncio.run(main())
