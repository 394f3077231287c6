"""One run of one program: started, timed out, checked; what it cost."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

import workloads

TIMEOUT = 180
PAYLOAD = 100


class RunFailed(Exception):
    """The program did not do what was asked; the text says why."""


@dataclasses.dataclass(frozen=True)
class Result:
    rate: float
    cpu_per_million: float
    peak_mib: float
    switches_per_second: float
    # Part of all processors that was used by others, the broker included.
    others: float


def busy_seconds() -> float:
    """Seconds that all processors together were not idle, since the start of the machine."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command: list[str], environment: dict[str, str], wanted: workloads.Run, cost_file: pathlib.Path,
        measure: pathlib.Path) -> Result:
    """Runs a program to its end. Raises RunFailed."""
    cost_file.unlink(missing_ok=True)
    busy, began = busy_seconds(), time.monotonic()
    process = subprocess.Popen(
        [measure, cost_file, *command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, complaint = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"not done after {TIMEOUT} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    elapsed, busy = time.monotonic() - began, busy_seconds() - busy
    tail = "\n".join(complaint.strip().splitlines()[-15:])
    if process.returncode != 0:
        raise RunFailed(f"ended with {process.returncode}\n{tail}")
    try:
        told = json.loads(output.strip().splitlines()[-1])
        cost = json.loads(cost_file.read_text())
    except (IndexError, ValueError, OSError) as error:
        raise RunFailed(f"no result ({error}); it said: {output[-300:]!r}\n{tail}") from None
    check(told, wanted)
    cpu = cost["cpu_seconds"]
    return Result(
        rate=told["messages"] / told["seconds"],
        cpu_per_million=cpu / told["messages"] * 1e6,
        peak_mib=cost["peak_kib"] / 1024,
        switches_per_second=cost["voluntary_switches"] / elapsed,
        others=max(0.0, busy - cpu) / (elapsed * (os.cpu_count() or 1)))


def check(told: dict, wanted: workloads.Run) -> None:
    """A fast program that skipped the work must not win."""
    if told["messages"] < wanted.messages or told["handled"] < told["messages"] or told["seconds"] <= 0:
        raise RunFailed(f"did not handle {wanted.messages} messages: {told}")
    if not wanted.program.startswith("sleeping") and told["bytes"] != told["handled"] * PAYLOAD:
        raise RunFailed(f"did not read every payload: {told}")
