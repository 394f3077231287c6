"""What is measured: each row sets one program of ours beside one reference that runs in the same round.

A bar is the ratio that the project wants to reach, None where it only watches. Nothing fails when one is missed."""

import dataclasses

MILLION = 1_000_000
PAUSE_US = 1_000
# Enough that a run takes seconds: starting and stopping workers then weighs a thousandth.
PAUSES_A_WORKER = 3_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One program with its settings; rows of a round that name the same run share its result."""

    program: str
    messages: int
    workers: int = 5
    pause_us: int = 0
    virtual_partitions: str = "off"
    max_messages: int = 1_000
    keys_per_call: int = 1
    # What a program with several ways of doing it is asked to do.
    style: str = ""

    def environment(self) -> dict[str, str]:
        return {
            "BENCH_MESSAGES": str(self.messages),
            "BENCH_WORKERS": str(self.workers),
            "BENCH_PAUSE_US": str(self.pause_us),
            "BENCH_VIRTUAL_PARTITIONS": self.virtual_partitions,
            "BENCH_MAX_MESSAGES": str(self.max_messages),
            "BENCH_KEYS_PER_CALL": str(self.keys_per_call),
            "BENCH_STYLE": self.style,
        }


@dataclasses.dataclass(frozen=True)
class Row:
    """A workload of ours, its reference, and the bar of their ratio."""

    workload: str
    against: str
    ours: Run
    reference: Run
    bar: float | None = None

    @property
    def name(self) -> str:
        return f"{self.workload} / {self.against}"


SAME, DEFAULTS = "raw, same settings", "raw, defaults"


def pass_through() -> list[Row]:
    count = 6 * MILLION
    raw = {SAME: Run("raw-same", count), DEFAULTS: Run("raw-defaults", count)}
    rows = []

    def add(workload: str, ours: Run, bars: dict[str, float | None]) -> None:
        rows.extend(Row(f"pass-through, {workload}", against, ours, raw[against], bar) for against, bar in bars.items())

    for language, program in (("Rust", "rust"), ("C", "c")):
        by_key = Run(program, count, virtual_partitions="by_key", keys_per_call=1_000)
        add(language, Run(program, count), {SAME: 0.90, DEFAULTS: 1.5})
        add(f"{language}, by key", by_key, {SAME: 0.50})
        add(f"{language}, by key, one key a call", dataclasses.replace(by_key, keys_per_call=1), {SAME: None})
    count = 2 * MILLION
    add("Python, columns", Run("python", count, style="columns"), {DEFAULTS: 1.0})
    add("Python, each message", Run("python", count, style="messages"), {DEFAULTS: 0.70})
    add("Ruby, each message", Run("ruby", count), {DEFAULTS: 0.45})
    return rows


def pauses() -> list[Row]:
    bars = {
        "Rust": {5: 0.97, 50: 0.97, 100: 0.97, 500: 0.75},
        "C": {5: 0.97, 50: 0.97, 100: 0.97, 500: 0.75},
        "Python": {5: 0.95, 50: 0.95, 500: None},
        "Ruby": {5: 0.95, 50: 0.95, 500: None},
    }
    # The interpreters' locks cap what their threads do, whatever their number.
    slowest = {"Python": 80, "Ruby": 110}
    rows = []
    for language, widths in bars.items():
        program = language.lower()
        limit = "sleeping-c" if language == "Rust" else f"sleeping-{program}"
        for workers, bar in widths.items():
            count = PAUSES_A_WORKER * min(workers, slowest.get(language, workers))
            # Calls of a few messages, as a handler with a database would take them.
            ours = Run(program, count, workers, PAUSE_US, virtual_partitions="by_key", max_messages=100)
            reference = Run(limit, count, workers, PAUSE_US)
            workload, against = f"1 ms a message, {workers} workers, {language}", f"sleep limit, {limit[9:]}"
            rows.append(Row(workload, against, ours, reference, bar))
    return rows


def all_rows() -> list[Row]:
    return pass_through() + pauses()


def quick(row: Row) -> Row:
    """The same row with a tenth of the messages: says whether everything runs, not how fast."""
    def less(run: Run) -> Run:
        return dataclasses.replace(run, messages=max(run.messages // 10, run.workers))
    return dataclasses.replace(row, ours=less(row.ours), reference=less(row.reference))
