"""What is measured: each row sets a figure of one program of ours beside the same figure of a reference in the same round.

Bars are what the project wants to reach; nothing fails when one is missed. Peers are others' figures for orientation,
measured once on another day: they are shown, never computed with."""

import dataclasses

MILLION = 1_000_000
PAUSE_US = 1_000
# Enough that a run takes seconds: starting and stopping workers then weighs a thousandth.
PAUSES_A_WORKER = 2_000


@dataclasses.dataclass(frozen=True)
class Data:
    """A topic that is filled before the first round; with 0 records, with as many as its longest run needs, with -1 it is empty."""

    partitions: int = 5
    payload: int = 100
    records: int = 0


@dataclasses.dataclass(frozen=True)
class Run:
    """One program with its settings; rows of a round that name the same run share its result."""

    program: str
    # How many messages end the run, or at least arrive in `seconds`; 0: the run is ended from outside.
    messages: int = 0
    workers: int = 5
    pause_us: int = 0
    virtual_partitions: str = "off"
    max_messages: int = 100
    keys_per_call: int = 1
    # What a program with several ways of doing it is asked to do.
    style: str = ""
    # librdkafka settings of a reference, options of ours where they have another name.
    settings: str = ""
    data: Data = Data()
    # The topic that messages are sent on to.
    into: Data | None = None
    # A message so often into a topic of the run's own, in place of a filled one; with -1 that topic stays empty.
    feed_us: int = 0
    # How many such topics are read; a feed goes into the first of them.
    topics: int = 1
    # How long messages are received, by programs that note each arrival.
    seconds: int = 0
    # librdkafka settings of a second member, a raw one, that joins the group while it runs; empty: none does.
    joined: str = ""
    # How many seconds context switches are counted.
    watch: int = 0
    # Runs with the same word run side by side: those that wait more than they work.
    beside: str = ""

    def environment(self) -> dict[str, str]:
        return {
            "BENCH_MESSAGES": str(self.messages or 10**12),
            "BENCH_WORKERS": str(self.workers),
            "BENCH_PAUSE_US": str(self.pause_us),
            "BENCH_VIRTUAL_PARTITIONS": self.virtual_partitions,
            "BENCH_MAX_MESSAGES": str(self.max_messages),
            "BENCH_KEYS_PER_CALL": str(self.keys_per_call),
            "BENCH_STYLE": self.style,
            "BENCH_SETTINGS": self.settings,
            "BENCH_SECONDS": str(self.seconds),
        }

    @property
    def name(self) -> str:
        way = [self.style, self.virtual_partitions if self.virtual_partitions != "off" else "",
               f"{self.pause_us / 1000:g} ms" if self.pause_us else "", self.settings.partition("=")[2],
               f"{self.data.partitions} partitions" if self.data.partitions != 5 else "",
               {0: "", -1: "idle"}.get(self.feed_us, f"fed every {self.feed_us / 1000:g} ms"),
               f"{self.topics} topics" if self.topics > 1 else ""]
        return ", ".join([self.program, f"{self.workers} workers", *filter(None, way)])


@dataclasses.dataclass(frozen=True)
class Figure:
    """What of a result is compared: a field of what measure.py and the programs tell."""

    field: str
    unit: str
    digits: int = 0


RATE = Figure("rate", "messages/s")
PEAK = Figure("peak", "MiB at peak", 1)
SWITCHES = Figure("switches", "voluntary context switches/s", 1)
SHARE = Figure("core_percent", "% of a core", 2)
COST = Figure("cost_ns", "ns", 1)
MEDIAN, LATE = Figure("p50_us", "us, median"), Figure("p99_us", "us, 99th percentile")
PAUSE = Figure("pause_ms", "ms, longest pause", 1)


@dataclasses.dataclass(frozen=True)
class Bar:
    """At least so much of the reference (`ratio`), or at most so much more than it (`most`; without a reference: at most)."""

    ratio: float | None = None
    most: float | None = None

    def limit(self, reference: float | None) -> float | None:
        """What stands in bench.json: the least ratio, or the most that ours may be."""
        return self.ratio if self.most is None else round((reference or 0) + self.most, 4)

    def is_met(self, ours: float, reference: float | None) -> bool:
        if self.most is not None:
            return ours <= (reference or 0) + self.most
        return self.ratio is None or reference is None or ours >= self.ratio * reference

    def text(self, has_reference: bool) -> str:
        if self.most is not None:
            return f"<= raw + {self.most:g}" if has_reference else f"<= {self.most:g}"
        return "" if self.ratio is None else f">= {self.ratio:.2f}"


@dataclasses.dataclass(frozen=True)
class Row:
    """A workload of ours, its reference if it has one, and the bar."""

    workload: str
    against: str
    ours: Run
    reference: Run | None
    bar: Bar = Bar()
    peers: str = ""
    figure: Figure = RATE

    @property
    def name(self) -> str:
        return f"{self.workload} / {self.against}" if self.against else self.workload

    @property
    def runs(self) -> list[Run]:
        """The reference first."""
        return [run for run in (self.reference, self.ours) if run]


SAME, DEFAULTS = "raw, same settings", "raw, defaults"


def pass_through() -> list[Row]:
    count = 6 * MILLION
    raw = {SAME: Run("raw-same", count), DEFAULTS: Run("raw-defaults", count)}
    rows = []

    def add(workload: str, ours: Run, bars: dict[str, float | None], peers: str = "") -> None:
        ours = dataclasses.replace(ours, max_messages=1_000)
        rows.extend(Row(f"pass-through, {workload}", against, ours, raw[against], Bar(bar), peers)
                    for against, bar in bars.items())

    for language, program in (("Rust", "rust"), ("C", "c")):
        by_key = Run(program, count, virtual_partitions="by_key", keys_per_call=1_000)
        add(language, Run(program, count), {SAME: 0.90, DEFAULTS: 1.5}, "franz-go 1.46 of raw, defaults")
        add(f"{language}, by key", by_key, {SAME: 0.50}, "Parallel Consumer 0.014-0.027 of raw, defaults")
        add(f"{language}, by key, one key a call", dataclasses.replace(by_key, keys_per_call=1), {SAME: None})
    plain = Run("rust", count, max_messages=1_000)
    for what in ("delay", "throttle", "filter", "delay, throttle, filter"):
        rows.append(Row(f"pass-through, Rust, {what} that let all pass", "Rust without", dataclasses.replace(plain, style=what),
                        plain, Bar(0.90)))
    count = 4 * MILLION
    add("Python, columns", Run("python", count, style="columns"), {DEFAULTS: 1.0}, "confluent-kafka, tuned, 0.57")
    add("Python, each message", Run("python", count, style="messages"), {DEFAULTS: 0.70}, "confluent-kafka, tuned, 0.57")
    add("Ruby, each message", Run("ruby", count // 2), {DEFAULTS: 0.45}, "Karafka 0.025")
    return rows


def pauses() -> list[Row]:
    consumer = {5: "Parallel Consumer 0.73", 50: "Parallel Consumer 0.51", 100: "Parallel Consumer 0.38",
                500: "Parallel Consumer 0.10"}
    threads = {5: "threads by hand 0.97", 50: "threads by hand 0.62"}
    bars = {
        "C": {5: 0.97, 50: 0.97, 100: 0.97, 500: 0.75},
        "Rust": {50: 0.97, 500: 0.75},
        "Python": {5: 0.95, 50: 0.95},
        "Ruby": {5: 0.95, 50: 0.95},
    }
    rows = []
    for language, widths in bars.items():
        program = language.lower()
        limit = "sleeping-c" if language == "Rust" else f"sleeping-{program}"
        peers = consumer if language in ("Rust", "C") else threads
        for workers, bar in widths.items():
            count = PAUSES_A_WORKER * workers
            ours = Run(program, count, workers, PAUSE_US, virtual_partitions="by_key")
            workload, against = f"1 ms a message, {workers} workers, {language}", f"sleep limit, {limit[9:]}"
            rows.append(Row(workload, against, ours, Run(limit, count, workers, PAUSE_US), Bar(bar), peers.get(workers, "")))
    return rows


def tasks() -> list[Row]:
    """500 sleeping tasks of one event loop; the peer's in no order."""
    count = 300_000
    ours = Run("python", count, 500, PAUSE_US, virtual_partitions="by_key", style="async")
    return [Row("1 ms a message, 500 async def in flight, Python", "aiokafka, free tasks", ours,
                Run("free-tasks", count, 500, PAUSE_US), Bar(1.2), "aiokafka 1.0")]


def engine() -> list[Row]:
    """What the engine alone costs, told by the benchmarks in core/engine/benches."""
    rows = []
    for what, most, name in (
            ("a message, calls of 1,000, off", 50, "message/off"),
            ("a message, calls of 1,000, 1 virtual partition", 50, "message/1"),
            ("a message, calls of 1,000, 1,000 virtual partitions", 50, "message/1000"),
            ("a mark", 15, "mark"),
            ("a job, 1 virtual partition", 1_000, "job/1"),
            ("a job, 1,000 virtual partitions", 1_000, "job/1000"),
            ("a job, 1,000 virtual partitions, 200,000 messages waiting", 1_000, "job/1000_of_200000"),
            ("a job, the same with a priority, a limit and unique keys", 1_000, "job/1000_of_200000_turns")):
        peers = "Parallel Consumer 10,000-21,000" if name == "message/1000" else ""
        rows.append(Row(f"engine, {what}", "", Run("engine", style=name), None, Bar(most=most), peers, COST))
    return rows


def narrow() -> list[Row]:
    """One partition for many workers, and one worker for each partition."""
    count = PAUSES_A_WORKER * 50
    one = Run("c", count, 50, PAUSE_US, virtual_partitions="by_key", data=Data(partitions=1))
    each = Run("c", PAUSES_A_WORKER * 5, 5, PAUSE_US)
    return [
        Row("1 ms a message, 1 partition, 50 workers, C", "sleep limit, c", one, Run("sleeping-c", count, 50, PAUSE_US),
            Bar(0.97), "Parallel Consumer 0.58, Karafka 0.02"),
        Row("1 ms a message, a worker a partition, lag, defaults, C", "sleep limit, c", each,
            Run("sleeping-c", each.messages, 5, PAUSE_US), Bar(0.97), "Karafka 0.20-0.25"),
    ]


def waiting() -> list[Row]:
    """Context switches of a process that has nothing to do, or little."""
    def watched(program: str, **how) -> Run:
        return Run(program, watch=15, beside="switches", **how)

    raw = watched("raw-defaults", feed_us=-1)
    rows = [
        Row(f"idle, {language}", "raw, idle", watched(language.lower(), feed_us=-1), raw, Bar(most=0.5), peers, SWITCHES)
        for language, peers in (("C", "raw 10, Parallel Consumer 89"), ("Python", ""), ("Ruby", ""))]
    many, raw_many = (watched(program, feed_us=-1, topics=100) for program in ("c", "raw-defaults"))
    rows += [Row("idle, 100 topics, C", "raw, idle, 100 topics", many, raw_many, Bar(most=1), "", SWITCHES),
             Row("processor, idle, 100 topics, C", "raw, idle, 100 topics", many, raw_many, Bar(most=0.5), "", SHARE)]
    # A job is one message here. With a backlog the only cause of a switch is the job; with messages that arrive, every one
    # wakes librdkafka as well, which the last row shows without any job.
    jobs = dict(pause_us=100_000, max_messages=1, messages=1_150)
    job, peers = Bar(most=2 * 50), "Karafka 3.7 a job"
    rows += [
        Row("50 jobs of 100 ms a second, backlog, C", "raw, idle", watched("c", **jobs), raw, job, "", SWITCHES),
        Row("50 jobs of 100 ms a second, 67 messages arriving, C", "raw, idle", watched("c", feed_us=15_000, **jobs), raw, job,
            peers, SWITCHES),
        Row("67 messages arriving, raw", "raw, idle", watched("raw-defaults", feed_us=15_000), raw, Bar(), "", SWITCHES),
    ]
    return rows


def latency() -> list[Row]:
    """From just before producing until a handler, or the caller of poll, has the message."""
    fed = dict(messages=3_000, seconds=8, feed_us=2_000)
    ours, raw = Run("receiving", **fed), Run("polling", **fed)
    workload, against = "a message every 2 ms, defaults, C", "raw poll, defaults"
    return [
        Row(f"median latency, {workload}", against, ours, raw, Bar(most=50), "Karafka 101 ms", MEDIAN),
        Row(f"99th percentile, {workload}", against, ours, raw, Bar(most=200), "", LATE),
    ]


def rebalance() -> list[Row]:
    """A message each millisecond, 5 ms apart in each partition, when a second member joins."""
    rows = []
    for name, ours, raw in (
            ("cooperative-sticky", "", "partition.assignment.strategy=cooperative-sticky"),
            ("KIP-848", "group_protocol=consumer", "group.protocol=consumer")):
        fed = dict(messages=4_000, seconds=11, feed_us=1_000, joined=raw, beside=f"rebalance, {name}")
        rows.append(Row(f"pause of a partition that stays, a member joins, {name}, C", "raw poll",
                        Run("receiving", settings=ours, **fed), Run("polling", settings=raw, **fed), Bar(most=10),
                        "Karafka 186-298 ms", PAUSE))
    return rows


def producing() -> list[Row]:
    """From the first record to the last acknowledgement: 100 bytes under 1,000 keys, no handle kept, a thousand a call in Ruby
    and Python."""
    data = Data(records=-1)
    raw = Run("producing-raw", 2 * MILLION, data=data)
    return [Row(f"producing, {language}", "raw, same settings", dataclasses.replace(raw, program=f"producing-{language.partition(',')[0].lower()}"),
                raw, Bar(bar)) for language, bar in (("Rust", 0.9), ("C", 0.9), ("Python, many a call", 0.7), ("Ruby, many a call", 0.7))]


def transactions() -> list[Row]:
    """Handlers that send each message on: offsets and what was sent in one transaction a call, several calls committing together
    or not, or without one."""
    big = Run("transforming", 200_000, style="transaction", max_messages=100, into=Data(records=-1))
    rows = [Row("100 messages a transaction, Rust", against, big, dataclasses.replace(big, style=style), Bar(bar))
            for against, style, bar in (("the same, waiting for acknowledgements", "wait", 0.5),
                                        ("the same, waiting for nothing", "forget", None))]
    together = dataclasses.replace(big, settings="transaction_max_messages=1000")
    rows.append(Row("100 messages a call, transaction_max_messages=1000, Rust", "without transactions, waiting for acknowledgements",
                    together, rows[0].reference, Bar(0.5)))
    wide = Run("transforming", 10_000, 50, PAUSE_US, "by_key", style="transaction", into=big.into)
    narrow = dataclasses.replace(wide, messages=wide.messages // 20, workers=1)
    rows.append(Row("1 ms a message, 50 workers, a transaction a call, Rust", "1 worker", wide, narrow))
    shared = "transaction_max_messages=500"
    rows.append(Row(f"1 ms a message, 50 workers, a transaction a call, {shared}, Rust", "1 worker, the same",
                    dataclasses.replace(wide, messages=5 * wide.messages, settings=shared), dataclasses.replace(narrow, settings=shared), Bar(10)))
    return rows


def memory() -> list[Row]:
    rows = []
    for partitions in (5, 50):
        # 5 workers, 10 ms a message: ten seconds, long after the queues are full.
        data = Data(partitions, payload=1_024, records=2 * MILLION)
        for language, most in (("C", 32), ("Python", 64), ("Ruby", 64)):
            peers = "franz-go 23, Karafka 141, Parallel Consumer 427" if partitions == 5 and language == "C" else ""
            ours = Run(language.lower(), 5_000, pause_us=10_000, data=data, beside=f"memory {partitions}")
            rows.append(Row(f"memory, 2 M x 1 KB waiting, {partitions} partitions, {language}", "", ours, None,
                            Bar(most=most), peers, PEAK))
    return rows


def all_rows() -> list[Row]:
    return pass_through() + pauses() + tasks() + narrow() + engine() + waiting() + latency() + rebalance() + memory() + producing() + \
        transactions()


def quick(row: Row) -> Row:
    """The same row with a tenth of the messages: says whether everything runs, not how fast."""
    def less(run: Run | None) -> Run | None:
        if run is None:
            return None
        messages = run.messages
        if messages and not run.seconds:
            messages = max(messages // (4 if run.watch else 10), run.workers)
        data = dataclasses.replace(run.data, records=max(run.data.records // 10, min(run.data.records, 0)))
        return dataclasses.replace(run, messages=messages, data=data, watch=min(run.watch, 1))
    return dataclasses.replace(row, ours=less(row.ours), reference=less(row.reference))
