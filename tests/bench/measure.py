"""One run of one program: started, watched, timed out, checked; what it cost."""

import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable

import stuck
import workloads

TIMEOUT = 180
# How long a program has for its start and the first messages, before context switches are counted.
SETTLE = 4


class RunFailed(Exception):
    """The program did not do what was asked; the text says why."""


def busy_seconds() -> float:
    """Seconds that all processors together were not idle, since the start of the machine."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command: list[str], environment: dict[str, str], wanted: workloads.Run, cost_file: pathlib.Path,
        measure: pathlib.Path, second: Callable[[], subprocess.Popen] | None = None) -> dict[str, float]:
    """Runs a program to its end and answers its figures by name, among them those that its last line tells. Raises RunFailed.

    `second` starts another member of the group; it is called when the program has received for a while."""
    busy, began = busy_seconds(), time.monotonic()
    process = subprocess.Popen(
        [measure, cost_file, *command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True)
    figures = {}
    member = None
    try:
        if second:
            process.stdout.readline()
            time.sleep(SETTLE / 2)
            member = second()
        if wanted.watch:
            figures |= waiting_cost(process, wanted.watch)
            if not wanted.messages:
                return figures
        output, complaint = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        looked = stuck.look(process, cost_file.with_suffix(".stuck"))
        raise RunFailed(f"not done after {TIMEOUT} s; what its threads did is in {looked}") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if member:
            is_alive = member.poll() is None
            member.kill()
            member.communicate()
    if member and not is_alive:
        raise RunFailed(f"the second member ended with {member.returncode}")
    elapsed, busy = time.monotonic() - began, busy_seconds() - busy
    tail = "\n".join(complaint.strip().splitlines()[-15:])
    if process.returncode != 0:
        raise RunFailed(f"ended with {process.returncode}\n{tail}")
    try:
        told = json.loads(output.strip().splitlines()[-1])
        cost = json.loads(cost_file.read_text())
        cost_file.unlink()
    except (IndexError, ValueError, OSError) as error:
        raise RunFailed(f"no result ({error}); it said: {output[-300:]!r}\n{tail}") from None
    check(told, wanted)
    cpu = cost["cpu_seconds"]
    figures = {"switches": cost["voluntary_switches"] / elapsed, "rate": told["messages"] / told["seconds"],
               "cpu": cpu / told["messages"] * 1e6, "peak": cost["peak_kib"] / 1024} | told | figures
    if not wanted.beside:
        # The part of all processors that others used, the broker included.
        figures["others"] = max(0.0, busy - cpu) / (elapsed * (os.cpu_count() or 1))
    return figures


def benchmark(command: list[str], name: str, home: pathlib.Path) -> dict[str, float]:
    """Runs one of the engine's benchmarks and answers what criterion, whose folder is `home`, found. Raises RunFailed."""
    try:
        done = subprocess.run([*command, "--exact", name], env=os.environ | {"CRITERION_HOME": str(home)}, text=True,
                              capture_output=True, timeout=TIMEOUT)
        if done.returncode != 0:
            raise RunFailed(f"{name} ended with {done.returncode}\n{done.stderr[-1500:]}")
        estimates = json.loads((home / name / "new/estimates.json").read_text())
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        raise RunFailed(f"no result of {name}: {error}") from None
    return {"cost_ns": estimates["median"]["point_estimate"]}


def waiting_cost(process: subprocess.Popen, seconds: int) -> dict[str, float]:
    """How often all threads of the measured program together give up the processor, and how much of one they use, in a window
    after its start."""
    time.sleep(SETTLE)
    before, began = given_up_and_used(process), time.monotonic()
    time.sleep(seconds)
    switches, nanoseconds = (now - then for now, then in zip(given_up_and_used(process), before))
    elapsed = time.monotonic() - began
    return {"switches": switches / elapsed, "core_percent": nanoseconds / elapsed / 1e7}


def given_up_and_used(process: subprocess.Popen) -> tuple[int, int]:
    """Voluntary context switches and nanoseconds of the program under `measure`, which is its only child."""
    try:
        child = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        threads = list(pathlib.Path(f"/proc/{child}/task").iterdir())
        fields = (line.split() for thread in threads for line in (thread / "status").read_text().splitlines())
        switches = sum(int(words[1]) for words in fields if words and words[0] == "voluntary_ctxt_switches:")
        return switches, sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    except (IndexError, OSError):
        output, complaint = process.communicate(timeout=TIMEOUT)
        raise RunFailed(f"ended too early\n{output[-300:]}\n{complaint[-1000:]}") from None


def check(told: dict, wanted: workloads.Run) -> None:
    """A fast program that skipped the work must not win."""
    if told["messages"] < wanted.messages or told["handled"] < told["messages"] or told["seconds"] <= 0:
        raise RunFailed(f"did not handle {wanted.messages} messages: {told}")
    if not wanted.program.startswith("sleeping") and told["bytes"] != told["handled"] * wanted.data.payload:
        raise RunFailed(f"did not read every payload: {told}")
    if told.get("missing"):
        raise RunFailed(f"did not receive every message of a partition: {told}")
    if wanted.joined and not 0 < told["stayed"] < wanted.data.partitions:
        raise RunFailed(f"no partition moved, or none stayed: {told}")
