"""The Python handler: adds airport and weather to every flight, and sends it on.

A process of its own. Ends when its standard input does: running calls finish, what is done is committed.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import libkarafka
from flights import MISSING, read_airports, read_rain
from journal import Journal

BROKERS = os.environ["DEMO_BROKERS"]
ENRICHED = os.environ["DEMO_ENRICHED"]

airports = read_airports()
rain = read_rain()
journal = Journal(os.environ["DEMO_JOURNAL"])
producer = libkarafka.Producer(bootstrap_servers=BROKERS, compression="lz4", linger="20ms")
app = libkarafka.App(bootstrap_servers=BROKERS, concurrency=int(os.environ["DEMO_WORKERS"]))


# Each call waits for its records to be acknowledged: with the flights of some aircraft at once that is worth its while.
@app.consumer(
    os.environ["DEMO_FLIGHTS"],
    group=os.environ["DEMO_GROUP"],
    virtual_partitions="by_key",
    virtual_partitions_per_job=8,
)
def enrich(batch: libkarafka.Batch) -> None:
    flights = [value.decode().split("\t") for value in batch.values() if value]
    with journal.call([flight[0] for flight in flights]):
        enriched = []
        for row, month, day, hour, origin, destination, delay in flights:
            time.sleep(0.001)  # stands for a call of a database
            name = airports.get(destination, MISSING)
            wet = rain.get((origin, month, day, hour), MISSING)
            value = f"{row}\t{destination}\t{name}\t{delay}\t{wet}"
            enriched.append({"topic": ENRICHED, "key": destination, "value": value})
        for delivery in producer.produce_many(enriched):
            delivery.wait()


def stop_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    app.stop()


if __name__ == "__main__":
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    try:
        app.run()
    finally:
        producer.close()
        journal.close()
