"""The programs of one benchmark, their topics, and what all of their runs have in common.

Used by run.py. Topics that were made here are removed at the end, also when a run fails."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import measure
import programs
import workloads

# What librdkafka says it is set to, and the reference must not or cannot take over.
NOT_COPIED = {
    "client.id", "client.software.name", "client.software.version", "metadata.broker.list", "bootstrap.servers", "debug",
    "enabled_events", "log.queue", "default_topic_conf", "group.id", "auto.offset.reset", "opaque"}


class Session:
    def __init__(self, brokers: str, built: dict[str, programs.Program], out: pathlib.Path) -> None:
        self.built = built
        self.out = out
        self.common = os.environ | {"BENCH_BROKERS": brokers}
        self.same = ""
        self.groups = 0
        self.topics: dict[workloads.Data, str] = {}

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        for topic in self.topics.values():
            # A Kafka that was told to end together with the benchmark has nothing left to remove.
            subprocess.run([*self.built["fill"].command, "--delete", topic], env=self.common, stderr=subprocess.DEVNULL)

    def prepare(self, runs: list[workloads.Run]) -> None:
        """Fills the topics that the runs read, and asks our own client how it sets librdkafka."""
        most: dict[workloads.Data, int] = {}
        for run in runs:
            if not run.feed_us and not run.program.startswith("sleeping") and run.program != "engine":
                most[run.data] = max(run.messages, most.get(run.data, 0))
            if run.into:
                most[run.into] = 0
        for data, messages in most.items():
            # Past the mark there is still work for every worker: a run has no tail in which some are idle.
            records = max(data.records, 0) if data.records else messages + messages // 10 + 100_000
            print(f"filling a topic of {data.partitions} partitions with {records:,} records of {data.payload} bytes", flush=True)
            self.topics[data] = self._fill(str(records), str(data.partitions), str(data.payload))
        self.same = self._ask_settings()

    def _ask_settings(self) -> str:
        topic = next(iter(self.topics.values()), "") or self.topics.setdefault(workloads.Data(), self._fill("0"))
        environment = self.common | {"BENCH_TOPIC": topic, "BENCH_GROUP": f"bench-settings-{os.getpid()}"}
        done = subprocess.run(self.built["settings"].command, env=environment, capture_output=True, text=True, timeout=60)
        found = dict(re.findall(r"\]:   (\S+) = (.*?) facility=", done.stdout))
        if done.returncode != 0 or "fetch.message.max.bytes" not in found:
            sys.exit(f"run.py: cannot tell how libkarafka sets librdkafka:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return "\n".join(f"{name}={value}" for name, value in found.items() if name not in NOT_COPIED)

    def run(self, runs: list[workloads.Run]) -> dict[workloads.Run, dict[str, float] | measure.RunFailed]:
        """Runs programs side by side, those that are fed on topics of their own, and answers what each found or how it failed."""
        with contextlib.ExitStack() as stack:
            wanted = {(run.feed_us, run.topics) for run in runs if run.feed_us}
            feeds = {feed: stack.enter_context(self._fed(*feed)) for feed in sorted(wanted)}
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(runs)))
            under_way = {}
            for run in runs:
                self.groups += 1
                topic = feeds[run.feed_us, run.topics] if run.feed_us else self.topics.get(run.data, "")
                under_way[run] = pool.submit(self._run_one, run, topic, f"bench-{os.getpid()}-{self.groups}")
            return {run: one.result() for run, one in under_way.items()}

    def _run_one(self, run: workloads.Run, topic: str, group: str) -> dict[str, float] | measure.RunFailed:
        program = self.built[run.program]
        if program.missing:
            return measure.RunFailed("not built, see above")
        environment = self.common | program.environment | run.environment() | {"BENCH_TOPIC": topic, "BENCH_GROUP": group}
        if run.into:
            environment["BENCH_INTO"] = self.topics[run.into]
        if run.program == "raw-same":
            environment["BENCH_SETTINGS"] = self.same
        if preload := os.environ.get("BENCH_PRELOAD"):
            environment["LD_PRELOAD"] = preload
        tool = pathlib.Path(self.built["measure"].command[0])

        def second() -> subprocess.Popen:
            settings = environment | {"BENCH_SETTINGS": run.joined}
            return subprocess.Popen(self.built["polling"].command, env=settings, stdout=subprocess.DEVNULL)

        try:
            if run.program == "engine":
                return measure.benchmark(program.command, run.style, self.out.parent / "criterion")
            return measure.run(program.command, environment, run, self.out / f"{group}.json", tool,
                               second if run.joined else None)
        except measure.RunFailed as failure:
            return failure

    @contextlib.contextmanager
    def _fed(self, microseconds: int, topics: int) -> Iterator[str]:
        """Topics, with commas between them, of which the first gets a message so often while something runs; with a negative
        number it stays empty."""
        names = self._fill("--topics", str(topics))
        topic = names.partition(",")[0]
        command = [*self.built["fill"].command, "--feed", topic, str(microseconds)]
        feeder = subprocess.Popen(command, env=self.common) if microseconds > 0 else None
        try:
            yield names
            if feeder and feeder.poll() is not None:
                sys.exit(f"run.py: bench-fill --feed ended with {feeder.returncode}")
        finally:
            if feeder:
                feeder.kill()
                feeder.wait()
            self._fill("--delete", names)

    def _fill(self, *words: str) -> str:
        done = subprocess.run([*self.built["fill"].command, *words], env=self.common, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"run.py: bench-fill {' '.join(words)} ended with {done.returncode}")
        return done.stdout.strip()
