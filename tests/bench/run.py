"""The benchmark: builds the programs, fills topics, runs every program in turn with its reference, and reports.

Started by run.sh, which says where the Kafka is. Settings from the environment:
  KAFKA_BOOTSTRAP  the brokers
  ROUNDS           how many interleaved rounds are run (3); medians are taken over them
  QUICK=1          one round with a tenth of the messages: whether everything runs, not how fast
  ONLY="Rust|Ruby" rows in whose name this regular expression is found
  BENCH_PRELOAD    a shared library, such as an allocator, that every measured program is started with

No figure makes a run fail. A row whose program cannot be built, or fails, does."""

import os
import re
import signal
import sys
import time

import measure
import programs
import report
import session
import workloads


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
    out = programs.target() / "bench"
    runs = [run for row in rows for run in row.runs]
    built = programs.build_all({run.program for run in runs}, out)
    for name, program in built.items():
        if program.missing:
            print(f"\nNOT BUILT: {name}: {program.missing}", file=sys.stderr)
    if built.get("raw-same", programs.Program()).allocator == "libc":
        print("\nWARNING: librdkafka of ours allocates by libc, so rows against raw at its defaults are too low; see *allocator* in "
              "docs/performance.md\n", file=sys.stderr)
    needed = [name for name in ("fill", "settings", "measure") if built[name].missing]
    if needed:
        sys.exit(f"run.py: nothing can be measured without {', '.join(needed)}")
    results: report.Results = {}
    failures: dict[workloads.Run, str] = {}
    with session.Session(brokers, built, out) as measured:
        machine = [*report.machine(), *report.versions(built)]
        measured.prepare(runs)
        print("same settings:", ", ".join(measured.same.splitlines()))
        began = time.monotonic()
        # Told to end, a run reports what it has.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for number in range(rounds):
                for group in in_turn(rows, number):
                    for run, found in measured.run(group).items():
                        if isinstance(found, measure.RunFailed):
                            failures[run] = str(found)
                        else:
                            results.setdefault(run, []).append(found)
                        print(f"round {number + 1}/{rounds}  {run.name:50}  {brief(found)}", flush=True)
        except KeyboardInterrupt:
            print("INTERRUPTED: not every round is whole", flush=True)
        print("", *machine, sep="\n")
        print(f"{rounds} interleaved round{'s' * (rounds > 1)} in {time.monotonic() - began:.0f} s, medians; in brackets: the "
              f"reference; payloads of 100 bytes, 1,000 keys, 5 partitions unless said{'; QUICK: not a measurement' * is_quick}\n")
        print(report.table(rows, results))
        print(report.noise(results), flush=True)
        report.write(out.parent / "bench.json", rows, results)
    missing = sorted(name for name, program in built.items() if program.missing)
    for name in missing:
        print(f"NOT BUILT: {name}: {built[name].missing.splitlines()[0]}")
    for run, reason in failures.items():
        print(f"FAILED: {run.name}: {reason.splitlines()[0]}")
    return 1 if missing or failures else 0


def in_turn(rows: list[workloads.Row], number: int) -> list[list[workloads.Run]]:
    """Every run once, each close to its reference; every other round the other way round, so that a drift cancels out.
    Runs that go side by side are one group."""
    groups: dict[object, list[workloads.Run]] = {}
    for row in rows:
        for run in row.runs:
            group = groups.setdefault(run.beside or run, [])
            if run not in group:
                group.append(run)
    turns = list(groups.values())
    return turns if number % 2 == 0 else turns[::-1]


def brief(found: dict[str, float] | measure.RunFailed) -> str:
    if isinstance(found, measure.RunFailed):
        return f"FAILED: {found}"
    show = {"rate": "{:12,.0f}/s", "cpu": "{:7.3f} CPU s/M", "peak": "{:6.1f} MiB", "switches": "{:9,.1f} switches/s",
            "p50_us": "{:.0f} us", "p99_us": "p99 {:.0f} us", "pause_ms": "pause {:.1f} ms", "cost_ns": "{:.1f} ns"}
    return "  ".join(text.format(found[name]) for name, text in show.items() if name in found)


if __name__ == "__main__":
    sys.exit(main())
