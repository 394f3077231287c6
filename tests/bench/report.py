"""What a run of the benchmark found: a table for a person, and bench.json for a program."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import measure
import workloads

# Above this share of the machine used by others, figures are about them as well.
NOISY = 0.25


def median(results: list[measure.Result], field: str) -> float:
    return statistics.median(getattr(result, field) for result in results)


def machine() -> list[str]:
    facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    model = {name.strip(): value.strip() for name, value in facts.items()}.get("model name", platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    libc = " ".join(platform.libc_ver())
    return [f"{os.cpu_count()} x {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}, {libc}",
            f"load average before the first run: {load}"]


def versions(raw: str | None) -> list[str]:
    def first_line(*command: str) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return f"no {command[0]}"
        return (done.stdout or done.stderr).strip().splitlines()[0]

    librdkafka = first_line(raw, "--version") if raw else "unknown"
    return [f"librdkafka {librdkafka}, {first_line('rustc', '--version')}, {first_line('cc', '--version')}",
            f"CPython {platform.python_version()}, {first_line('ruby', '--version')}"]


def entries(rows: list[workloads.Row], results: dict[workloads.Run, list[measure.Result]]) -> dict[str, dict]:
    """What goes into bench.json. A row that could not be measured is there with null."""
    found: dict[str, dict] = {}
    for row in rows:
        ours, reference = results.get(row.ours, []), results.get(row.reference, [])
        for suffix, field, unit, digits, bar in (
                ("", "rate", "messages/s", 0, row.bar),
                (" / CPU", "cpu_per_million", "CPU seconds per million messages", 3, None),
                (" / memory", "peak_mib", "MiB at peak", 1, None)):
            entry: dict = {"ours": None, "reference": None, "ratio": None, "unit": unit, "bar": bar}
            if ours:
                entry["ours"] = round(median(ours, field), digits)
            if reference:
                entry["reference"] = round(median(reference, field), digits)
            if ours and reference and median(reference, field):
                entry["ratio"] = round(median(ours, field) / median(reference, field), 4)
            found[row.name + suffix] = entry
    return found


def spread(results: list[measure.Result]) -> float:
    """How far the slowest round is from the fastest, as a part of the median."""
    rates = [result.rate for result in results]
    return (max(rates) - min(rates)) / statistics.median(rates)


def table(rows: list[workloads.Row], results: dict[workloads.Run, list[measure.Result]]) -> str:
    head = ("workload", "ours/s", "reference/s", "ratio", "bar", "spread", "CPU s/M", "peak MiB", "switches/s")
    lines = [head]
    found = entries(rows, results)
    for row in rows:
        entry = found[row.name]
        if entry["ratio"] is None:
            lines.append((row.name, "-", "-", "-", "not measured", "", "", "", ""))
            continue
        ours, reference = results[row.ours], results[row.reference]
        verdict = "unsure" if is_noisy(results) else "met" if entry["ratio"] >= (row.bar or 0) else "MISSED"
        bar = "" if row.bar is None else f"{row.bar:.2f} {verdict}"
        pair = lambda field, digits: f"{median(ours, field):.{digits}f} ({median(reference, field):.{digits}f})"
        lines.append((
            row.name, f"{entry['ours']:,.0f}", f"{entry['reference']:,.0f}", f"{entry['ratio']:.3f}", bar,
            f"{spread(ours):.0%} ({spread(reference):.0%})", pair("cpu_per_million", 2), pair("peak_mib", 0),
            pair("switches_per_second", 0)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    def show(line: tuple) -> str:
        return "  ".join([line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:]))])
    return "\n".join([show(lines[0]), "-" * len(show(lines[0])), *map(show, lines[1:])])


def shares_of_others(results: dict[workloads.Run, list[measure.Result]]) -> list[float]:
    return [result.others for runs in results.values() for result in runs]


def is_noisy(results: dict[workloads.Run, list[measure.Result]]) -> bool:
    shares = shares_of_others(results)
    return bool(shares) and statistics.median(shares) > NOISY


def noise(results: dict[workloads.Run, list[measure.Result]]) -> str:
    shares = shares_of_others(results)
    if not shares:
        return ""
    text = f"other processes, the broker included, took {statistics.median(shares):.0%} of the machine in the median run, " \
           f"{max(shares):.0%} at most"
    return text + ("\nTHE MACHINE WAS BUSY: rates and ratios are about its other work as well; CPU seconds say more" if
                   is_noisy(results) else "")


def write(path: pathlib.Path, rows: list[workloads.Row], results: dict[workloads.Run, list[measure.Result]]) -> None:
    path.write_text(json.dumps(entries(rows, results), indent=2, ensure_ascii=False) + "\n")
    print(f"written: {path}", file=sys.stderr)
