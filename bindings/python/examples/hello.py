"""The smallest handler. With BROKERS=host:port it reads a real Kafka; without, an embedded broker with a few records."""

import os

import libkarafka

brokers = os.environ.get("BROKERS", "embedded://")
app = libkarafka.App(bootstrap_servers=brokers, group="hello")


@app.consumer("greetings", virtual_partitions="by_key")
def greet(batch):
    for message in batch:
        print(f"{message.key.decode()}: {message.value.decode()} (offset {message.offset})")
        if message.value == b"bye":
            app.stop()


with libkarafka.Producer(bootstrap_servers=brokers) as producer:
    for text in ("hello", "how are you?", "bye"):
        producer.produce("greetings", text, key="anna")
app.run()
