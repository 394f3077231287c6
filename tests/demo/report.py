"""The report at the end: what holds, how long it took, and what came out.

Called once, by the demo's main thread, when every handler has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from flights import Flight, Sums, read_airports, read_rain
from judge import (
    Claim,
    Stage,
    compare_sequences,
    expected_sums,
    judge_aggregation,
    judge_enrichment,
    order_claim,
    sums_of,
)
from screen import Screen

SHOWN_AIRPORTS = 5
# Seconds that the Python handler waits for each flight.
PAUSE = 0.001


class Record(Protocol):
    """What is known of all starts."""

    killed: int
    seconds: float
    partitions: Counter[str]

    def journals(self, stage: str) -> list[Path]: ...
    def results(self, stage: str) -> list[Path]: ...


def report(screen: Screen, record: Record, flights: list[Flight], workers: int, is_whole: bool) -> bool:
    """Prints the report. Returns whether every claim holds."""
    python = Stage("Python", record.journals("python"))
    ruby = Stage("Ruby", record.journals("ruby"))
    c = Stage("C", record.journals("c"))
    aircraft = judge_enrichment(python, flights)
    by_ruby, by_c = judge_aggregation(ruby, flights), judge_aggregation(c, flights)
    claims = [
        order_claim(f"the flights of each of {aircraft.keys:,} aircraft were handled in order, none left out", python),
        python.overlap_claim("aircraft"),
        *(_completeness(stage, len(flights), record.killed, is_whole) for stage in (python, ruby, c)),
        *(order_claim(f"{stage.name}: every aircraft's flights to an airport came in order", stage) for stage in (ruby, c)),
        *(stage.overlap_claim("airport") for stage in (ruby, c)),
        compare_sequences(by_ruby, by_c),
        *_sums(record, flights, ruby, c),
    ]
    screen.say()
    for claim in claims:
        mark = screen.colour("32", "✓") if claim.holds else screen.colour("31", "✗")
        screen.say(f"  {mark} {claim.text}")
    if is_whole and record.partitions and record.seconds:
        screen.say()
        for line in _time(record, workers, python.most_at_once):
            screen.say(line)
    totals = sums_of(record.results("c"))
    if is_whole and totals:
        screen.say()
        for line in _airports(totals):
            screen.say(line)
    return all(claim.holds for claim in claims)


def _completeness(stage: Stage, total: int, killed: int, is_whole: bool) -> Claim:
    text = f"{stage.name}: {stage.handled:,} of {total:,} flights"
    if not is_whole:
        text += " so far"
    if stage.repeated == 0:
        text += ", each once"
    elif killed:
        text += f", {stage.repeated:,} of them again after a start was killed"
    else:
        text += f", {stage.repeated:,} OF THEM MORE THAN ONCE"
    holds = (stage.repeated == 0 or killed > 0) and (not is_whole or stage.handled == total)
    if is_whole and stage.handled != total:
        text += f", {total - stage.handled:,} ARE MISSING"
    return Claim(text, holds)


def _sums(record: Record, flights: list[Flight], ruby: Stage, c: Stage) -> Iterator[Claim]:
    rain = read_rain()
    for stage, results in ((ruby, record.results("ruby")), (c, record.results("c"))):
        sums = sums_of(results)
        if sums is None:
            holds = record.killed > 0
            yield Claim(f"{stage.name}: sums cannot be compared: a start ended without writing its own", holds)
            continue
        expected = expected_sums(flights, rain, stage.times)
        text = f"{stage.name}: sums of {len(sums)} airports equal those of a plain loop over the CSV file"
        different = [airport for airport in sums.keys() | expected.keys() if sums.get(airport) != expected.get(airport)]
        if different:
            text += f": NOT SO for {len(different)}, such as {different[0]}"
        yield Claim(text, not different)


def _time(record: Record, workers: int, most_at_once: int) -> Iterator[str]:
    fullest = max(record.partitions.values())
    alone = fullest * PAUSE
    yield (
        f"  one thread a partition   {alone:5.1f} s at least: {fullest:,} flights in the fullest of"
        f" {len(record.partitions)} partitions x 1 ms, the pauses alone"
    )
    yield (
        f"  libkarafka               {record.seconds:5.1f} s: {workers} threads, up to {most_at_once} calls at once,"
        f" {alone / record.seconds:.1f} times as fast"
    )


def _airports(sums: Sums) -> Iterator[str]:
    names = read_airports()
    yield f"  {'busiest destinations':<36}{'flights':>9}{'mean delay':>14}{'in rain':>12}"
    busiest = sorted(sums.items(), key=lambda item: -item[1][0])[:SHOWN_AIRPORTS]
    for airport, (flights, arrived, delay, wet, wet_delay) in busiest:
        name = f"{airport}  {names.get(airport, '')}"[:36]
        mean = f"{delay / arrived:.1f} min" if arrived else "-"
        in_rain = f"{wet_delay / wet:.1f} min" if wet else "-"
        yield f"  {name:<36}{flights:>9,}{mean:>14}{in_rain:>12}"
