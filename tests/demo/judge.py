"""Judges what the handlers saw: order, completeness, repetitions, and the sums of the two aggregating handlers.

Works on the journals and results alone, after the handlers have ended. A claim is a sentence, and holds or does not.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flights import Flight, Sums, add, rain_at
from journal import Reader


@dataclass
class Claim:
    """A sentence about what was seen, and whether it holds."""

    text: str
    holds: bool


@dataclass
class Stage:
    """One handler's records over all its starts."""

    name: str
    journals: list[Path]
    times: Counter[int] = field(default_factory=Counter)
    most_at_once: int = 0
    disorders: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)

    @property
    def handled(self) -> int:
        """Different flights."""
        return len(self.times)

    @property
    def repeated(self) -> int:
        """Calls for flights that had been handled already."""
        return self.times.total() - len(self.times)

    def overlap_claim(self, what: str) -> Claim:
        """That no two calls with the same key ran at once."""
        return _claim(f"{self.name}: no {what} was on two threads at once", self.overlaps)


def _claim(text: str, complaints: list[str]) -> Claim:
    if complaints:
        text = f"{text}: NOT SO, {len(complaints)} times, first {complaints[0]}"
    return Claim(text, not complaints)


class Aircraft:
    """Each tail number's flights in their order, and how far a handler has come with them."""

    def __init__(self, flights: list[Flight]) -> None:
        self._flights = flights
        self._place: list[int] = []
        counts: Counter[str] = Counter()
        for flight in flights:
            # Flights without a tail number have no key, and so no order.
            self._place.append(counts[flight.tail_number] if flight.tail_number else 0)
            if flight.tail_number:
                counts[flight.tail_number] += 1
        self.keys = len(counts)
        self._next: Counter[str] = Counter()

    def of(self, rows: list[int]) -> set[str]:
        """The aircraft that a call has flights of. Flights without a tail number have none."""
        return {tail for row in rows if (tail := self._flights[row].tail_number)}

    def begin(self, rows: list[int], stage: Stage) -> None:
        """A call may begin with the next flight of an aircraft or, when flights come again, with an earlier one."""
        expected: dict[str, int] = {}
        for row in rows:
            tail, place = self._flights[row].tail_number, self._place[row]
            if not tail:
                continue
            if tail not in expected and place > self._next[tail]:
                stage.disorders.append(f"{tail}: flight {place} came before flight {self._next[tail]}")
            elif place != expected.get(tail, place):
                stage.disorders.append(f"{tail}: flight {place} came where flight {expected[tail]} was to come")
            expected[tail] = place + 1

    def end(self, rows: list[int]) -> None:
        """A call has ended well: each aircraft's next flight is the one after."""
        for row in rows:
            if tail := self._flights[row].tail_number:
                self._next[tail] = max(self._next[tail], self._place[row] + 1)


def judge_enrichment(stage: Stage, flights: list[Flight]) -> Aircraft:
    """Follows the enriching handler through its journals."""
    aircraft = Aircraft(flights)
    for path in stage.journals:
        running: Counter[str] = Counter()
        at_once = 0
        for sign, rows in Reader(path).events():
            tails = aircraft.of(rows)
            if sign == "+":
                stage.overlaps.extend(tail for tail in tails if running[tail])
                running.update(tails)
                at_once += 1
                stage.most_at_once = max(stage.most_at_once, at_once)
                aircraft.begin(rows, stage)
                continue
            running.subtract(tails)
            at_once -= 1
            if sign == "-":
                aircraft.end(rows)
                stage.times.update(rows)
    return aircraft


def judge_aggregation(stage: Stage, flights: list[Flight]) -> dict[str, list[int]]:
    """Follows an aggregating handler. Returns each airport's flights in the order in which they were first seen."""
    sequences: dict[str, list[int]] = {}
    last_of: dict[tuple[str, str], int] = {}
    for path in stage.journals:
        running: Counter[str] = Counter()
        at_once = 0
        for sign, rows in Reader(path).events():
            airport = flights[rows[0]].destination
            if sign == "+":
                if running[airport]:
                    stage.overlaps.append(airport)
                running[airport] += 1
                at_once += 1
                stage.most_at_once = max(stage.most_at_once, at_once)
                continue
            running[airport] -= 1
            at_once -= 1
            if sign == "!":
                continue
            sequence = sequences.setdefault(airport, [])
            for row in rows:
                if not stage.times[row]:
                    sequence.append(row)
                    tail = flights[row].tail_number
                    if tail and last_of.get((airport, tail), -1) > row:
                        stage.disorders.append(f"{tail} to {airport}: row {row}")
                    last_of[airport, tail or ""] = row
                stage.times[row] += 1
    return sequences


def sums_of(results: list[Path]) -> Sums | None:
    """What a handler had at the end of all its starts; None when one of them ended without saying."""
    total: Sums = {}
    for path in results:
        if not path.exists():
            return None
        for airport, values in json.loads(path.read_text()).items():
            entry = total.setdefault(airport, [0, 0, 0, 0, 0])
            for position, value in enumerate(values):
                entry[position] += value
    return total


def expected_sums(flights: list[Flight], rain: dict[tuple[str, str, str, str], str], times: Counter[int]) -> Sums:
    """The sums by a plain loop over the CSV file, each flight as often as the handler says that it had it."""
    sums: Sums = {}
    for row, count in times.items():
        add(sums, flights[row], rain_at(rain, flights[row]), count)
    return sums


def compare_sequences(ruby: dict[str, list[int]], c: dict[str, list[int]]) -> Claim:
    """Both read the same topic, so both must have seen each airport's flights in the same order."""
    different = []
    for airport in ruby.keys() | c.keys():
        left, right = ruby.get(airport, []), c.get(airport, [])
        # Stopped in the middle, one may have come further than the other.
        length = min(len(left), len(right))
        if left[:length] != right[:length]:
            different.append(airport)
    return _claim("Ruby and C saw every airport's flights in one and the same order", different)


def order_claim(text: str, stage: Stage) -> Claim:
    """That flights of one aircraft kept their order."""
    return _claim(text, stage.disorders)
