"""One measured run of a Python producer, a thousand records a call. Prints one line of JSON; the environment is described in
../rust/reading.rs."""

import os
import time

import libkarafka

WANTED = int(os.environ["BENCH_MESSAGES"])
TOPIC = os.environ["BENCH_TOPIC"]
PAYLOAD = bytes(100)
KEYS = [f"key-{number:04}".encode() for number in range(1_000)]
CALL = 1_000

producer = libkarafka.Producer(bootstrap_servers=os.environ["BENCH_BROKERS"], queue_full_timeout=60_000)
producer.produce_sync(TOPIC, PAYLOAD, KEYS[0])
began = time.monotonic()
for first in range(0, WANTED, CALL):
    numbers = range(first, min(first + CALL, WANTED))
    producer.produce_many([{"topic": TOPIC, "value": PAYLOAD, "key": KEYS[number * 387 % 1_000]} for number in numbers])
left = producer.flush(120)
seconds = time.monotonic() - began
producer.close()
handled = WANTED - left
print(f'{{"messages":{WANTED},"seconds":{seconds:.6f},"handled":{handled},"bytes":{handled * 100}}}')
