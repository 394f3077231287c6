"""The Python runner of the scenario table: `run.py scenarios.json [words]` prints, for each scenario whose name contains the
words, one line of JSON with what happened. What should have happened is judged elsewhere (`judge.py`).

The handler records each call when it begins and when it ends, on its own thread or in the event loop; the main thread waits
for what was recorded.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import libkarafka

BROKER = libkarafka.EmbeddedBroker("parity-python")
PATIENCE = 30.0

Facts = dict[str, Any]


class Unlucky(Exception):
    """What a handler raises when the table wants it to fail."""


def octets(described: Any) -> bytes | None:
    if described is None:
        return None
    return bytes.fromhex(described["hex"]) if isinstance(described, dict) else described.encode()


def hexadecimal(given: bytes | None) -> str | None:
    return None if given is None else given.hex()


def name_of(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")


def in_turn(values: list[Any] | None, number: int) -> Any:
    return values[number % len(values)] if values else None


def records(described: Any) -> Iterator[Facts]:
    """Records of the table: one by one, or `count` of them with `keys` and `prefixes` in turn, numbered from 0."""
    if isinstance(described, dict):
        prefixes, keys = described.get("prefixes"), described["keys"]
        described = [
            {"key": in_turn(keys, number), "payload": f"{in_turn(prefixes, number) or ''}{number}"}
            for number in range(described["count"])
        ]
    for record in described or []:
        headers = [(name, octets(value)) for name, value in record.get("headers", [])]
        yield {
            "key": octets(record.get("key")),
            "value": octets(record.get("payload")),
            "headers": headers,
            "partition": record.get("partition"),
            "timestamp": record.get("timestamp"),
        }


class Watch:
    """What was recorded of a run, shared by its handlers and whoever waits for them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.counts = {"begun": 0, "done": 0, "stopped": 0, "hooked": 0}
        self.hooks: list[Any] = []
        self.tick = 0
        self.open = 0
        self.calls: list[Facts] = []
        self.last: Any = None

    def wait(self, effect: Callable[[], bool]) -> bool:
        """Waits for an effect; returns whether it came in time."""
        with self.changed:
            return self.changed.wait_for(effect, PATIENCE)

    def reached(self, what: str, count: int) -> Callable[[], bool]:
        return lambda: self.counts[what] >= count

    def stopped(self) -> None:
        with self.changed:
            self.counts["stopped"] = 1
            self.changed.notify_all()

    def hook(self, name: str, context: libkarafka.Context) -> None:
        with self.changed:
            self.hooks.append([name, context.used, context.eofed, context.revoked])
            self.counts["hooked"] += 1
            self.changed.notify_all()

    def task(self, name: str, is_triggered: bool) -> None:
        with self.changed:
            self.hooks.append([name, is_triggered, False, False])
            self.counts["hooked"] += 1
            self.changed.notify_all()

    def begin(self, batch: libkarafka.Batch, context: libkarafka.Context, keeps: bool) -> Facts:
        with self.changed:
            self.tick += 1
            self.open += 1
            self.counts["begun"] += len(batch)
            if keeps:
                # A kept batch holds up the end of the app's clients.
                self.last = (batch[0], context)
            call = {
                "begin": self.tick,
                "end": None,
                "attempt": context.attempt,
                "retrying": context.retrying,
                "outcome": None,
                "stuck": False,
                "marks": [],
                "sent": [],
                "virtual_partitions": [] if batch.virtual_partition is None else [batch.virtual_partition],
                "records": [describe(message) for message in batch],
            }
            self.calls.append(call)
            self.changed.notify_all()
            return call

    def end(self, call: Facts, is_done: bool) -> None:
        with self.changed:
            self.tick += 1
            self.open -= 1
            call["end"], call["outcome"] = self.tick, "done" if is_done else "failed"
            self.counts["done"] += len(call["records"]) if is_done else 0
            self.changed.notify_all()


def describe(message: libkarafka.Message) -> Facts:
    return {
        "partition": message.partition,
        "offset": message.offset,
        "key": hexadecimal(message.key),
        "payload": hexadecimal(message.value),
        "headers": [[name_of(name).hex(), hexadecimal(value)] for name, value in message.headers],
        "tombstone": message.tombstone,
        "timestamp": message.timestamp,
    }


class Rules:
    """What a run's handler does: hold, mark, fail."""

    def __init__(self, run: Facts, producer: libkarafka.Producer) -> None:
        self.run = run
        self.producer = producer
        self.keeps = "mark" in run.get("after", [])

    def about(self, what: str, batch: libkarafka.Batch) -> Any:
        """The rule, if it is about this call: one of its records has the rule's key, or the rule names none."""
        rule = self.run.get(what)
        if rule is None or ("key" in rule and rule["key"].encode() not in batch.keys()):
            return None
        return rule

    def mark(self, batch: libkarafka.Batch, context: libkarafka.Context) -> list[bool]:
        marks = []
        how = {
            "prefix": context.mark_as_consumed,
            "single": context.acknowledge,
            "waiting": context.mark_as_consumed_sync,
        }
        for extent, offset in self.run.get("mark", []):
            marks += [how[extent](message) for message in batch if message.offset == offset]
        return marks

    def send(self, topic: str) -> Any:
        """The kind of the error with which the record was refused."""
        return outcome(lambda: self.producer.produce_sync(topic, "sent") and None).get("error")

    def finish(self, watch: Watch, call: Facts, batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        call["marks"] = self.mark(batch, context)
        call["sent"] = [self.send(topic) for attempt, topic in self.run.get("send", []) if attempt == context.attempt]
        fail = self.about("fail", batch)
        has_failed = fail is not None and context.attempt <= fail["attempts"]
        watch.end(call, not has_failed)
        if has_failed:
            raise Unlucky("not yet")


def plain_handler(watch: Watch, rules: Rules) -> Callable[..., Any]:
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        call = watch.begin(batch, context, rules.keeps)
        hold = rules.about("hold", batch)
        if hold is not None:
            call["stuck"] = not watch.wait(watch.reached(*hold["until"]))
        rules.finish(watch, call, batch, context)

    return handle


def later_handler(watch: Watch, rules: Rules) -> Callable[..., Any]:
    """A coroutine: what it waits for happens in other coroutines of its loop, which wake it."""
    waiting: list[asyncio.Event] = []

    async def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        call = watch.begin(batch, context, rules.keeps)
        for event in waiting:
            event.set()
        hold = rules.about("hold", batch)
        if hold is not None:
            reached = watch.reached(*hold["until"])
            deadline = time.monotonic() + PATIENCE
            while not reached() and time.monotonic() < deadline:
                event = asyncio.Event()
                waiting.append(event)
                try:
                    await asyncio.wait_for(event.wait(), deadline - time.monotonic())
                except TimeoutError:
                    call["stuck"] = True
        rules.finish(watch, call, batch, context)

    return handle


def hooks_of(watch: Watch, described: Facts) -> dict[str, Callable[..., None]]:
    def hook(name: str) -> Callable[..., None]:
        def called(context: libkarafka.Context) -> None:
            watch.hook(name, context)
            if described.get("then") == "fail":
                raise Unlucky("not this")

        return called

    return {name: hook(name) for name in ("tick", "eofed", "revoked", "shutdown")}


def partitioner(described: Facts) -> Callable[[libkarafka.Message], Any]:
    def partition(message: libkarafka.Message) -> Any:
        if "prefix" not in described:
            raise Unlucky("no partition")
        return (message.value or b"")[: described["prefix"]]

    return partition


def filter_of(described: Facts) -> Callable[[libkarafka.Message], bool]:
    def keep(message: libkarafka.Message) -> bool:
        if message.key == octets(described["fails"]):
            raise Unlucky("no answer")
        return message.key != octets(described["skips"])

    return keep


def outcome(action: Callable[[], Any]) -> Facts:
    try:
        return {"value": action()}
    except libkarafka.Error as error:
        return {"error": error.kind, "message": str(error)}


def short(result: Facts) -> Any:
    """A call's value, or the kind of its error."""
    return result.get("error", result.get("value"))


def produce(producer: libkarafka.Producer, topic: str, described: Any) -> None:
    for delivery in producer.produce_many({"topic": topic, **record} for record in records(described)):
        delivery.wait(PATIENCE)


def make_app(options: Facts) -> libkarafka.App:
    return libkarafka.App(bootstrap_servers=BROKER.address, **options)


def prepare(scenario: Facts, name: str, producer: libkarafka.Producer) -> None:
    """Before the first run: schedules and cancels, and gives commands."""
    if "scheduled" in scenario:
        described = scenario["scheduled"]
        BROKER.create_topic(f"{name}-later", 1)
        at = int(time.time() * 1000) + described["in"]
        for record in records(described["records"]):
            taken = producer.schedule(f"{name}-later", at, name, **record)
            if record["value"] == octets(described["cancelled"]):
                producer.cancel(f"{name}-later", taken)
    if "tasks" in scenario:
        BROKER.create_topic(f"{name}-tasks", 1)
        for task in scenario["tasks"]["trigger"]:
            producer.trigger_task(f"{name}-tasks", task)


def add_apart(scenario: Facts, name: str, app: libkarafka.App, watch: Watch) -> None:
    """Has the app send what is scheduled, and run the tasks, which are recorded as calls of hooks."""
    if "scheduled" in scenario:
        app.scheduled_messages(f"{name}-later", interval=100)
    if "tasks" in scenario:
        tasks = app.recurring_tasks(f"{name}-tasks", interval=100)

        def work(run: libkarafka.TaskRun) -> None:
            watch.task(run.task, run.scheduled is None)
            if run.task == "broken":
                raise Unlucky("not this")

        for task in ("broken", "report"):
            tasks.task(task, "@yearly")(work)


def play_run(table: Facts, scenario: Facts, name: str, run: Facts, producer: libkarafka.Producer) -> Facts:
    produce(producer, name, run.get("records"))
    app = make_app({**table["defaults"]["app"], **scenario.get("app", {}), **run.get("app", {}), "group": name})
    options = {**table["defaults"]["topic"], **scenario.get("topic", {}), **run.get("topic", {})}
    if "partitioner" in scenario:
        options["virtual_partitions"] = partitioner(scenario["partitioner"])
    if "unique" in scenario:
        options["unique_by"] = partitioner(scenario["unique"])
    if "filter" in scenario:
        options["filter"] = filter_of(scenario["filter"])
    watch, rules = Watch(), Rules(run, producer)
    handler = later_handler if scenario.get("later") else plain_handler
    read = re.compile(re.escape(name)) if scenario.get("pattern") else name
    hooks = hooks_of(watch, scenario["hooks"]) if "hooks" in scenario else {}
    # To give one of these is to switch them on.
    for hook, switch in (("tick", "periodic"), ("eofed", "eofed")):
        if not options.get(switch):
            hooks.pop(hook, None)
    app.consumer(read, **{**options, **hooks})(handler(watch, rules))
    if "beside" in scenario:
        beside = {**table["defaults"]["topic"], **scenario["beside"].get("topic", {})}
        app.consumer(f"{name}-beside", **beside)(handler(watch, rules))
    add_apart(scenario, name, app, watch)
    heard: list[Facts] = []
    events = app.events()

    def listen() -> None:
        heard.extend({"name": event.name, "fields": event.fields} for event in events)

    listener = threading.Thread(target=listen)
    listener.start()
    app.start()
    other = None
    if "joined" in run:
        # Another member of the group, which handles what it gets and records nothing.
        watch.wait(watch.reached(*run["joined"]))
        other = make_app({**table["defaults"]["app"], **scenario.get("app", {}), **run.get("app", {}), "group": name})
        reading(other, name, **options)
        other.start()
    in_time = watch.wait(watch.reached(*run["until"]))
    app.stop()
    joined = outcome(lambda: app.join(PATIENCE))
    if other is not None:
        other.stop()
        other.join(PATIENCE)
    watch.stopped()
    watch.wait(lambda: watch.open == 0)
    listener.join()
    after = {step: afterwards(step, app, watch) for step in run.get("after", [])}
    return {"in_time": in_time, "joined": joined, "calls": watch.calls, "after": after, "events": heard, "hooks": watch.hooks}


def afterwards(what: str, app: libkarafka.App, watch: Watch) -> Facts:
    """One call on an app that has stopped, or on the last record that its handler saw."""
    if what not in ("mark", "acknowledge", "mark_and_wait"):
        return step(what, app)
    message, context = watch.last
    how = {
        "mark": context.mark_as_consumed,
        "acknowledge": context.acknowledge,
        "mark_and_wait": context.mark_as_consumed_sync,
    }
    return outcome(lambda: how[what](message))


def step(what: str, app: libkarafka.App) -> Facts:
    """One call on an app that is not running."""
    steps: dict[str, Callable[[], Any]] = {
        "phase": lambda: app.phase,
        "start": app.start,
        "quiet": app.quiet,
        "resume": app.resume,
        "topic": lambda: reading(app, "another"),
        "stop": app.stop,
        "join": lambda: app.join(PATIENCE),
    }
    return outcome(steps[what])


def reading(app: libkarafka.App, topic: str, **options: Any) -> None:
    app.consumer(topic, **options)(lambda batch: None)


def repeated(described: Facts) -> str:
    """A name is text and how often it is repeated; "orders" if nothing is said."""
    text, times = described.get("name", ("orders", 1))
    return text * times


def start_and_stop(options: Facts, topic: Facts) -> None:
    """Settings of librdkafka are checked at the start."""
    app = make_app(options)
    reading(app, "orders", **topic)
    app.start()
    app.stop()
    app.join(PATIENCE)


def send(described: Facts) -> list[int]:
    producer = libkarafka.Producer(bootstrap_servers=BROKER.address, **described.get("producer", {}))
    payload = "x" * described.get("payload", 1)
    report = producer.produce_sync(repeated(described), payload, partition=described.get("partition"))
    return [report.partition, report.offset]


def unstarted(steps: list[str]) -> list[Any]:
    app = libkarafka.App()
    reading(app, "orders")
    return [short(step(what, app)) for what in steps]


def closed_producer() -> list[Any]:
    producer = libkarafka.Producer(bootstrap_servers=BROKER.address)
    steps: list[Callable[[], Any]] = [
        producer.close,
        producer.close,
        lambda: producer.produce_sync("never", "late"),
        lambda: producer.flush(PATIENCE),
    ]
    return [short(outcome(action)) for action in steps]


def twice() -> None:
    app = libkarafka.App()
    reading(app, "orders")
    reading(app, "orders")


def error_kinds() -> list[str]:
    classes = [getattr(libkarafka, name) for name in libkarafka.__all__ if name.endswith("Error")]
    return sorted(found.kind for found in classes if found is not libkarafka.Error)


def admin() -> libkarafka.Admin:
    return libkarafka.Admin(bootstrap_servers=BROKER.address)


def play_call(call: Facts) -> Facts:
    calls: dict[str, Callable[[], Any]] = {
        "app": lambda: start_and_stop(call.get("app", {}), call.get("topic", {})),
        "topic": lambda: reading(libkarafka.App(), repeated(call), **call.get("topic", {})),
        "producer": lambda: libkarafka.Producer(bootstrap_servers=BROKER.address, **call["producer"]) and None,
        "testing_producer": lambda: libkarafka.Producer.testing(**call["producer"]) and None,
        "transactional_producer": lambda: (
            libkarafka.TransactionalProducer(bootstrap_servers=BROKER.address, **call["producer"]) and None
        ),
        "produce": lambda: send(call),
        "create_topic": lambda: BROKER.create_topic(repeated(call), call["partitions"]),
        "admin": lambda: getattr(admin(), call["ask"])(*call["with"].values()),
        "unstarted": lambda: unstarted(call["steps"]),
        "closed_producer": closed_producer,
        "start_without_topic": lambda: libkarafka.App().start(),
        "same_topic_twice": twice,
        "error_kinds": error_kinds,
        "versions": lambda: [libkarafka.__version__, libkarafka.LIBRDKAFKA_VERSION],
    }
    return outcome(calls[call["do"]])


def play(table: Facts, scenario: Facts, name: str) -> Facts:
    runs: list[Facts] = []
    if "runs" in scenario:
        BROKER.create_topic(name, scenario.get("partitions", 1))
        options = {**table["defaults"]["producer"], **scenario.get("producer", {})}
        with libkarafka.Producer(bootstrap_servers=BROKER.address, **options) as producer:
            produce(producer, name, scenario.get("records"))
            if "beside" in scenario:
                BROKER.create_topic(f"{name}-beside", scenario.get("partitions", 1))
                produce(producer, f"{name}-beside", scenario["beside"]["records"])
            prepare(scenario, name, producer)
            runs += [play_run(table, scenario, name, run, producer) for run in scenario["runs"]]
    return {"runs": runs, "calls": [play_call(call) for call in scenario.get("calls", [])]}


def main(path: str, words: str = "") -> None:
    with open(path, encoding="utf-8") as file:
        table = json.load(file)
    for number, scenario in enumerate(table["scenarios"]):
        if words not in scenario["name"] or "python" not in scenario.get("languages", ["python"]):
            continue
        try:
            result = play(table, scenario, f"scenario-{number}")
        except Exception as error:
            result = {"broken": f"{type(error).__name__}: {error}"}
        print(json.dumps({**result, "scenario": scenario["name"]}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
