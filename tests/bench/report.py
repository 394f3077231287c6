"""What a run of the benchmark found: a table for a person, and bench.json for a program."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import programs
import workloads

# Above this share of the machine used by others, figures are about them as well.
NOISY = 0.25

# By run: what each round found.
Results = dict[workloads.Run, list[dict[str, float]]]


def values(results: Results, run: workloads.Run | None, field: str) -> list[float]:
    return [result[field] for result in results.get(run, []) if field in result]


def median(results: Results, run: workloads.Run | None, field: str) -> float | None:
    found = values(results, run, field)
    return statistics.median(found) if found else None


def machine() -> list[str]:
    facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    model = {name.strip(): value.strip() for name, value in facts.items()}.get("model name", platform.machine())
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    libc = " ".join(platform.libc_ver())
    return [f"{os.cpu_count()} x {model}, {size:.0f} GiB, {platform.system()} {platform.release()}, {libc}",
            f"load average before the first run: {load}"]


def versions(built: dict[str, programs.Program]) -> list[str]:
    def first_line(*command: str) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return f"no {command[0]}"
        return (done.stdout or done.stderr).strip().splitlines()[0]

    raw = built.get("raw-same", programs.Program())
    librdkafka = first_line(*raw.command, "--version") if raw.command else "unknown"
    tasks = built.get("free-tasks", programs.Program()).command
    peers = f", {first_line(*tasks, '--version')}" if tasks else ""
    return [f"Kafka {programs.kafka_version()}, librdkafka {librdkafka}, {first_line('rustc', '--version')}, "
            f"{first_line('cc', '--version')}",
            f"CPython {platform.python_version()}, {first_line('ruby', '--version')}{peers}",
            f"allocator: {raw.allocator or 'unknown'} in librdkafka of ours and of {workloads.SAME}, "
            f"{built.get('raw-defaults', programs.Program()).allocator or 'unknown'} of {workloads.DEFAULTS}"]


def entries(rows: list[workloads.Row], results: Results) -> dict[str, dict]:
    """What goes into bench.json. A row that could not be measured is there with null."""
    found: dict[str, dict] = {}
    cpu = workloads.Figure("cpu", "CPU seconds per million messages", 3)
    for row in rows:
        found[row.name] = entry(row, row.figure, row.bar, results)
        if row.figure == workloads.RATE:
            found[row.name + " / CPU"] = entry(row, cpu, workloads.Bar(), results)
            found[row.name + " / memory"] = entry(row, workloads.PEAK, workloads.Bar(), results)
    return found


def entry(row: workloads.Row, figure: workloads.Figure, bar: workloads.Bar, results: Results) -> dict:
    def rounded(value: float | None, digits: int) -> float | None:
        return None if value is None else round(value, digits)

    ours, reference = median(results, row.ours, figure.field), median(results, row.reference, figure.field)
    # Without a reference, the part of the bar that is used up.
    base = reference if row.reference else bar.most
    is_complete = row.reference is None or reference is not None
    return {
        "ours": rounded(ours, figure.digits), "reference": rounded(reference, figure.digits),
        "ratio": rounded(ours / base, 4) if ours is not None and base else None,
        "unit": figure.unit, "bar": bar.limit(reference) if is_complete else None}


def spread(found: list[float]) -> str:
    """How far the lowest round is from the highest, as a part of the median."""
    middle = statistics.median(found) if found else 0
    return f"{(max(found) - min(found)) / middle:.0%}" if middle else "-"


def table(rows: list[workloads.Row], results: Results) -> str:
    """Rates first, with what they cost; then everything of which less is better."""
    rates = [row for row in rows if row.figure == workloads.RATE]
    others = [row for row in rows if row.figure != workloads.RATE]
    return "\n\n".join(text for text in (rate_table(rates, results), other_table(others, results)) if text)


def rate_table(rows: list[workloads.Row], results: Results) -> str:
    head = ("workload", "ours/s", "reference/s", "ratio", "bar", "", "spread", "CPU s/M", "peak MiB", "switches/s", "peers")
    lines = []
    for row in rows:
        found = entry(row, row.figure, row.bar, results)
        if found["ratio"] is None:
            lines.append((row.name, "-", "-", "-", row.bar.text(True), "not measured", "", "", "", "", row.peers))
            continue
        pair = lambda field, digits: " ".join([
            f"{median(results, row.ours, field):.{digits}f}", f"({median(results, row.reference, field):.{digits}f})"])
        spreads = [spread(values(results, run, row.figure.field)) for run in (row.ours, row.reference)]
        lines.append((
            row.name, f"{found['ours']:,.0f}", f"{found['reference']:,.0f}", f"{found['ratio']:.3f}", row.bar.text(True),
            verdict(row, results), f"{spreads[0]} ({spreads[1]})", pair("cpu", 2), pair("peak", 0), pair("switches", 0),
            row.peers))
    return aligned(head, lines)


def other_table(rows: list[workloads.Row], results: Results) -> str:
    head = ("workload, less is better", "ours", "reference", "bar", "", "limit", "spread", "unit", "peers")
    lines = []
    for row in rows:
        found = entry(row, row.figure, row.bar, results)
        bar = row.bar.text(row.reference is not None)
        if found["ours"] is None or row.reference and found["reference"] is None:
            lines.append((row.name, "-", "-", bar, "not measured", "", "", found["unit"], row.peers))
            continue
        show = lambda value: "" if value is None else f"{value:,.{row.figure.digits}f}"
        lines.append((row.name, show(found["ours"]), show(found["reference"]), bar, verdict(row, results), show(found["bar"]),
                      spread(values(results, row.ours, row.figure.field)), found["unit"], row.peers))
    return aligned(head, lines)


def verdict(row: workloads.Row, results: Results) -> str:
    ours, reference = (median(results, run, row.figure.field) for run in (row.ours, row.reference))
    if row.bar == workloads.Bar() or ours is None:
        return ""
    if row.figure == workloads.RATE and is_noisy(results):
        return "unsure"
    return "met" if row.bar.is_met(ours, reference) else "MISSED"


def aligned(head: tuple, lines: list[tuple]) -> str:
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]

    def show(line: tuple) -> str:
        middle = [text.rjust(width) for text, width in zip(line[1:-1], widths[1:-1])]
        return "  ".join([line[0].ljust(widths[0]), *middle, line[-1]]).rstrip()
    return "\n".join([show(head), "-" * max(len(show(line)) for line in lines), *map(show, lines)])


def shares_of_others(results: Results) -> list[float]:
    return [result["others"] for found in results.values() for result in found if "others" in result]


def is_noisy(results: Results) -> bool:
    shares = shares_of_others(results)
    return bool(shares) and statistics.median(shares) > NOISY


def noise(results: Results) -> str:
    shares = shares_of_others(results)
    if not shares:
        return ""
    text = f"other processes, the broker included, took {statistics.median(shares):.0%} of the machine in the median run, " \
           f"{max(shares):.0%} at most"
    return text + ("\nTHE MACHINE WAS BUSY: rates and ratios are about its other work as well; CPU seconds say more" if
                   is_noisy(results) else "")


def write(path: pathlib.Path, rows: list[workloads.Row], results: Results) -> None:
    path.write_text(json.dumps(entries(rows, results), indent=2, ensure_ascii=False) + "\n")
    print(f"written: {path}", file=sys.stderr)
