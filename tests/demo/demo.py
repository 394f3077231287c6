"""`make demo`: a year of real flights through handlers in Python, Ruby and C, with a report of what they saw.

    flights (by aircraft) ─► Python: adds airport and weather, 1 ms each ─► enriched (by destination) ─► Ruby and C: sums

This process starts the others, produces the flights, watches the handlers' journals, and judges them at the end. Ctrl-C ends
everything in order. With BROKERS=host:port the topics live on that Kafka, and the next start goes on where this one ended.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import libkarafka
import report
from flights import Flight, read_flights
from journal import Reader
from processes import Failed, Process, Tool, end
from screen import Row, Screen

FLIGHT_PARTITIONS = 4
ENRICHED_PARTITIONS = 6
WORKERS = 50
CHUNK = 10_000
# Kafka waits for a member that was killed as long as its session lasts, 45 s.
STALLED_AFTER = 60.0
STAGES = ("python", "ruby", "c")


class State:
    """What has to be known to go on after a stop: kept beside the journals, in a directory for each Kafka."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / "state.json"
        known = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.name: str = known.get("name", secrets.token_hex(3))
        self.has_topics: bool = known.get("has_topics", False)
        self.produced: int = known.get("produced", 0)
        self.partitions: Counter[str] = Counter(known.get("partitions", {}))
        self.starts: int = known.get("starts", 0)
        self.seconds: float = known.get("seconds", 0.0)
        # Starts that were killed: what they had not committed comes again.
        self.killed: int = known.get("killed", 0) + (not known.get("ended", True))

    def save(self, ended: bool = False) -> None:
        """Writes it down."""
        self.directory.mkdir(parents=True, exist_ok=True)
        names = ("name", "has_topics", "produced", "partitions", "starts", "seconds", "killed")
        text = json.dumps({name: getattr(self, name) for name in names} | {"ended": ended})
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(text)
        unfinished.replace(self._file)

    def journals(self, stage: str) -> list[Path]:
        """A stage's journals, of all starts."""
        return [self.directory / f"{stage}-{start}.journal" for start in range(1, self.starts + 1)]

    def results(self, stage: str) -> list[Path]:
        """What an aggregating handler had at the end, of all starts."""
        return [self.directory / f"{stage}-{start}.json" for start in range(1, self.starts + 1)]


class Sender(threading.Thread):
    """Produces the flights that are not produced yet, on a thread of its own."""

    def __init__(self, brokers: str, topic: str, flights: list[Flight], state: State) -> None:
        super().__init__(daemon=True)
        self._brokers, self._topic, self._flights, self._state = brokers, topic, flights, state
        self._stopping = threading.Event()
        self.failure: Exception | None = None

    def stop(self) -> None:
        """Ends after the chunk that is under way."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        try:
            # Large batches: the embedded broker hands out one batch a request.
            with libkarafka.Producer(bootstrap_servers=self._brokers, compression="lz4", linger="50ms") as producer:
                while self._state.produced < len(self._flights) and not self._stopping.is_set():
                    self._send(producer)
        except Exception as error:
            self.failure = error

    def _send(self, producer: libkarafka.Producer) -> None:
        first = self._state.produced
        chunk = self._flights[first : first + CHUNK]
        deliveries = producer.produce_many(
            {"topic": self._topic, "key": flight.tail_number, "value": flight.payload(row)}
            for row, flight in enumerate(chunk, first)
        )
        self._state.partitions.update(str(delivery.wait().partition) for delivery in deliveries)
        self._state.produced += len(chunk)
        self._state.save()


class Watch:
    """How far the handlers of a stage have come, by their journals."""

    def __init__(self, state: State, stage: str, total: int) -> None:
        self._seen = bytearray(total)
        for path in state.journals(stage)[:-1]:
            self._look(Reader(path))
        self._reader = Reader(state.journals(stage)[-1])
        self._before = self.handled
        self.began: float | None = None

    def look(self) -> None:
        """Reads what was written since the last look."""
        self._look(self._reader)
        if self.began is None and (self._reader.running or self.handled > self._before):
            self.began = time.monotonic()

    def _look(self, reader: Reader) -> None:
        for rows in reader.ended():
            for row in rows:
                self._seen[row] = 1

    @property
    def handled(self) -> int:
        return self._seen.count(1)

    @property
    def running(self) -> int:
        return self._reader.running


class Demo:
    """One start."""

    def __init__(self, brokers: str, screen: Screen) -> None:
        self._screen = screen
        self._stage = Path(os.environ["DEMO_STAGE"])
        self._tool = Tool(os.environ["DEMO_TOOL"])
        self._is_embedded = not brokers
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", brokers) if brokers else "embedded"
        if self._is_embedded:
            shutil.rmtree(self._stage / "runs" / name, ignore_errors=True)
        self._state = State(self._stage / "runs" / name)
        prefix = "" if self._is_embedded else f"libkarafka-demo-{self._state.name}-"
        self._flights_topic, self._enriched_topic, self._prefix = f"{prefix}flights", f"{prefix}enriched", prefix
        self._brokers = brokers
        self._processes: list[Process] = []
        self._broker: Process | None = None
        self._sender: Sender | None = None
        self._interrupted = 0
        self._is_done = False

    def run(self) -> int:
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._interrupt)
        self._state.starts += 1
        self._state.save()
        complaints: list[str] = []
        flights: list[Flight] = []
        try:
            self._prepare()
            self._start()
            # Reading takes a second or two, while the handlers start.
            flights = read_flights()
            self._sender = Sender(self._brokers, self._flights_topic, flights, self._state)
            self._sender.start()
            self._follow(len(flights))
        except Failed as failed:
            complaints.append(str(failed))
        finally:
            complaints += self._end()
        for complaint in complaints:
            self._screen.say(f"\n{complaint}")
        self._state.save(ended=not complaints)
        if not flights:
            return 1
        verdict = report.report(self._screen, self._state, flights, WORKERS, is_whole=self._is_done)
        if verdict and self._is_done and not complaints:
            self._clear()
            return 0
        if verdict and self._interrupted and not complaints:
            self._say_what_is_left()
            return 130
        self._screen.say(f"\n  What the handlers saw is in {self._state.directory}; without it, the next start begins anew.")
        return 1

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._interrupted += 1

    def _prepare(self) -> None:
        """A broker, and the topics on it."""
        self._state.directory.mkdir(parents=True, exist_ok=True)
        topics = {self._flights_topic: FLIGHT_PARTITIONS, self._enriched_topic: ENRICHED_PARTITIONS}
        say = self._screen.say
        say("\n  The flights that left New York in 2013: Python enriches them, Ruby and C count them, in order.\n")
        if self._is_embedded:
            self._broker, self._brokers = self._tool.broker(topics, self._state.directory / "broker.log")
            say(f"  broker    embedded, {self._brokers}, in memory")
        else:
            if not self._state.has_topics:
                for name, partitions in topics.items():
                    self._tool.create_topic(name, partitions, self._brokers)
                self._state.has_topics = True
                self._state.save()
            say(f"  broker    {self._brokers}" + (", going on" if self._state.produced else ""))
        say(f"  topics    {self._flights_topic}, {FLIGHT_PARTITIONS} partitions, key: the aircraft's tail number")
        say(f"            {self._enriched_topic}, {ENRICHED_PARTITIONS} partitions, key: the airport of destination")
        say(f"  handlers  Python on {WORKERS} threads, 1 ms of waiting a flight; Ruby and C on 5 threads each\n")
        if self._state.killed and not self._is_embedded:
            say("  An earlier start was killed: until Kafka believes that, up to 45 s, its partitions rest.\n")

    def _start(self) -> None:
        here = Path(__file__).parent
        commands = {
            "python": [sys.executable, str(here / "enrich.py")],
            "ruby": ["ruby", str(here / "aggregate.rb")],
            "c": [str(self._stage / "aggregate")],
        }
        for stage, command in commands.items():
            environment = {
                "DEMO_BROKERS": self._brokers,
                "DEMO_FLIGHTS": self._flights_topic,
                "DEMO_ENRICHED": self._enriched_topic,
                "DEMO_GROUP": f"{self._prefix}{stage}",
                "DEMO_WORKERS": str(WORKERS),
                "DEMO_JOURNAL": str(self._state.journals(stage)[-1]),
                "DEMO_RESULT": str(self._state.results(stage)[-1]),
            }
            log = self._state.directory / f"{stage}.log"
            self._processes.append(Process(f"the handler {Path(command[-1]).name}", command, log, environment))

    def _follow(self, total: int) -> None:
        """Shows progress until everything is handled, somebody interrupts, or something fails."""
        watches = {stage: Watch(self._state, stage, total) for stage in STAGES}
        before = self._state.seconds
        last, moved = -1, time.monotonic()
        while True:
            for watch in watches.values():
                watch.look()
            python, ruby, c = watches.values()
            if python.began and python.handled < total:
                self._state.seconds = before + time.monotonic() - python.began
            done = all(watch.handled == total for watch in watches.values())
            produced, enriched = self._state.produced, python.handled
            self._screen.show(
                [
                    Row("to Kafka", produced, total),
                    Row("Python enriches", enriched, total, max(0, produced - enriched), python.running),
                    Row("Ruby counts", ruby.handled, total, max(0, enriched - ruby.handled), ruby.running),
                    Row("C counts", c.handled, total, max(0, enriched - c.handled), c.running),
                ],
                final=done or self._interrupted > 0,
            )
            self._is_done = done
            if done or self._interrupted:
                return
            self._check()
            now = produced + enriched + ruby.handled + c.handled
            if now != last:
                last, moved = now, time.monotonic()
            if time.monotonic() - moved > STALLED_AFTER:
                words = "\n".join(process.last_words() for process in self._processes)
                raise Failed(f"nothing has moved for {STALLED_AFTER:.0f} s; the handlers' last words:\n{words}")
            time.sleep(0.1)

    def _check(self) -> None:
        for process in self._processes:
            process.check()
        if self._broker is not None:
            self._broker.check()
        if self._sender is not None and self._sender.failure is not None:
            raise Failed(f"the flights could not be produced: {self._sender.failure}")

    def _end(self) -> list[str]:
        if self._interrupted:
            self._screen.say("\n  stopping: running handlers finish, what is done is committed")
        if self._sender is not None:
            self._sender.stop()
        complaints = end(self._processes)
        if self._broker is not None:
            complaints += end([self._broker])
        return complaints

    def _say_what_is_left(self) -> None:
        if self._is_embedded:
            self._screen.say("\n  Stopped in the middle. The embedded broker has ended, and everything in it.")
        else:
            self._screen.say("\n  Stopped in the middle. The same command goes on from here.")

    def _clear(self) -> None:
        """A finished demo leaves no topics behind."""
        if not self._is_embedded:
            for name in (self._flights_topic, self._enriched_topic):
                self._tool.delete_topic(name, self._brokers)
            shutil.rmtree(self._state.directory)


def main() -> int:
    screen = Screen()
    try:
        return Demo(os.environ.get("BROKERS", ""), screen).run()
    except Failed as failed:
        screen.say(f"\n{failed}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
