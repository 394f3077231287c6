"""A member of a group that tells what its handler and the app do; see languages.rs for its words."""

import sys
import time

import libkarafka

topic, work, fail_key, *words = sys.argv[1:]
options: dict[str, dict[str, object]] = {"app": {}, "topic": {}, "kafka": {}}
for name, value in (word.split("=", 1) for word in words):
    kind, dot, rest = name.partition(".")
    if not dot:
        kind, rest = "app", name
    options[kind][rest] = int(value) if value.isdigit() and kind != "kafka" else value
app = libkarafka.App(kafka=options["kafka"], **options["app"])


def tell(words):
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


@app.consumer(topic, **options["topic"])
def handle(batch):
    for message in batch:
        key = message.key.decode()
        tell(f"began {key}")
        time.sleep(int(work) / 1000)
        if key == fail_key:
            raise RuntimeError("the test wants this record to fail")
        tell(f"finished {key}")


app.on("*", tell)
app.run(signals=True)
