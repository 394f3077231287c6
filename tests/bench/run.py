"""The benchmark: builds the programs, fills a topic, runs every program in turn with its reference, and reports ratios.

Started by run.sh, which says where the Kafka is. Settings from the environment:
  KAFKA_BOOTSTRAP  the brokers
  ROUNDS           how many interleaved rounds are run (3); medians are taken over them
  QUICK=1          one round with a tenth of the messages: whether everything runs, not how fast
  ONLY="Rust|Ruby" rows in whose name this regular expression is found
  BENCH_TOPIC      a topic that is filled already and is kept
  BENCH_PRELOAD    a shared library, such as an allocator, that every measured program is started with

No figure makes a run fail. A row whose program cannot be built, or fails, does."""

import os
import pathlib
import re
import subprocess
import sys

import measure
import programs
import report
import workloads

# What librdkafka says it is set to, and the reference must not or cannot take over.
NOT_COPIED = {
    "client.id", "client.software.name", "client.software.version", "metadata.broker.list", "bootstrap.servers", "debug",
    "enabled_events", "log.queue", "default_topic_conf", "group.id", "auto.offset.reset", "opaque"}


def main() -> int:
    brokers = os.environ.get("KAFKA_BOOTSTRAP") or sys.exit("run.py: KAFKA_BOOTSTRAP is not set; start it by run.sh")
    is_quick = os.environ.get("QUICK", "") not in ("", "0")
    rounds = 1 if is_quick else int(os.environ.get("ROUNDS") or 3)
    only = os.environ.get("ONLY", "")
    rows = [row for row in workloads.all_rows() if re.search(only, row.name)]
    if is_quick:
        rows = [workloads.quick(row) for row in rows]
    if not rows:
        sys.exit(f"run.py: no row is called {only!r}")
    target = programs.target()
    out = target / "bench"
    wanted = {run.program for row in rows for run in (row.ours, row.reference)}
    built = programs.build_all(wanted, out)
    for name, program in built.items():
        if program.missing:
            print(f"\nNOT BUILT: {name}: {program.missing}", file=sys.stderr)
    needed = [name for name in ("fill", "settings", "measure") if built[name].missing]
    if needed:
        sys.exit(f"run.py: nothing can be measured without {', '.join(needed)}")
    session = Session(brokers, built, out)
    machine = report.machine()
    results: dict[workloads.Run, list[measure.Result]] = {}
    failures: dict[workloads.Run, str] = {}
    most = max(run.messages for row in rows for run in (row.ours, row.reference))
    with Topic(session, most) as topic:
        session.prepare(topic)
        for number in range(rounds):
            for run in in_turn(rows, number):
                way = run.style or run.virtual_partitions
                label = f"round {number + 1}/{rounds}  {run.program:15} {run.workers:4} workers  {way:8}"
                try:
                    result = session.run(run)
                except measure.RunFailed as failure:
                    failures[run] = str(failure)
                    print(f"{label}  FAILED: {failure}", flush=True)
                    continue
                results.setdefault(run, []).append(result)
                print(f"{label}  {result.rate:12,.0f}/s  {result.cpu_per_million:7.3f} CPU s/M  {result.peak_mib:6.1f} MiB",
                      flush=True)
    print("", *machine, *report.versions(next(iter(built.get("raw-same", programs.Program()).command), None)), sep="\n")
    print("same settings:", ", ".join(session.same.splitlines()))
    print(f"{rounds} interleaved round{'s' * (rounds > 1)}, medians; in brackets: the reference; payloads of 100 bytes, "
          f"1,000 keys, 5 partitions{'; QUICK: not a measurement' * is_quick}\n")
    print(report.table(rows, results))
    print(report.noise(results))
    report.write(target / "bench.json", rows, results)
    missing = sorted(name for name, program in built.items() if program.missing)
    for name in missing:
        print(f"NOT BUILT: {name}: {built[name].missing.splitlines()[0]}")
    for run, reason in failures.items():
        print(f"FAILED: {run.program}, {run.workers} workers: {reason.splitlines()[0]}")
    return 1 if missing or failures else 0


def in_turn(rows: list[workloads.Row], number: int) -> list[workloads.Run]:
    """Every run once, each close to its reference; every other round the other way round, so that a drift cancels out."""
    runs: list[workloads.Run] = []
    for row in rows:
        for run in (row.reference, row.ours):
            if run not in runs:
                runs.append(run)
    return runs if number % 2 == 0 else runs[::-1]


class Session:
    """The programs and what all of their runs have in common."""

    def __init__(self, brokers: str, built: dict[str, programs.Program], out: pathlib.Path) -> None:
        self.built = built
        self.out = out
        self.common = os.environ | {"BENCH_BROKERS": brokers}
        self.same = ""
        self.groups = 0

    def prepare(self, topic: str) -> None:
        """Asks our own client how it sets librdkafka, so that the reference is set the same."""
        self.common["BENCH_TOPIC"] = topic
        environment = self.common | {"BENCH_GROUP": f"bench-settings-{os.getpid()}"}
        done = subprocess.run(self.built["settings"].command, env=environment, capture_output=True, text=True, timeout=60)
        found = dict(re.findall(r"\]:   (\S+) = (.*?) facility=", done.stdout))
        if done.returncode != 0 or "fetch.message.max.bytes" not in found:
            sys.exit(f"run.py: cannot tell how libkarafka sets librdkafka:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        self.same = "\n".join(f"{name}={value}" for name, value in found.items() if name not in NOT_COPIED)

    def run(self, run: workloads.Run) -> measure.Result:
        program = self.built[run.program]
        if program.missing:
            raise measure.RunFailed("not built, see above")
        self.groups += 1
        environment = self.common | program.environment | run.environment()
        environment["BENCH_GROUP"] = f"bench-{os.getpid()}-{self.groups}"
        environment["BENCH_SETTINGS"] = self.same if run.program == "raw-same" else ""
        if preload := os.environ.get("BENCH_PRELOAD"):
            environment["LD_PRELOAD"] = preload
        tool = pathlib.Path(self.built["measure"].command[0])
        return measure.run(program.command, environment, run, self.out / "cost.json", tool)


class Topic:
    """A topic with enough records for the longest run; removed at the end, unless it was given."""

    def __init__(self, session: Session, records: int) -> None:
        self.session = session
        self.records = records
        self.given = os.environ.get("BENCH_TOPIC")
        self.name = self.given or ""

    def __enter__(self) -> str:
        if not self.given:
            # Past the mark there is still work for every worker: a run has no tail in which some are idle.
            records = self.records + self.records // 10 + 100_000
            print(f"filling a topic with {records:,} records", flush=True)
            self.name = self._fill(str(records))
        return self.name

    def __exit__(self, *_: object) -> None:
        if not self.given:
            self._fill("--delete", self.name)

    def _fill(self, *words: str) -> str:
        done = subprocess.run([*self.session.built["fill"].command, *words], env=self.session.common, stdout=subprocess.PIPE,
                              text=True)
        if done.returncode != 0:
            sys.exit(f"run.py: bench-fill {' '.join(words)} ended with {done.returncode}")
        return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
