"""The processes of the demo: the embedded broker and the three handlers. Started, watched and ended by the main thread.

Each has a process group of its own, so that Ctrl-C reaches the demo alone, which then ends them in order: a process ends
when its standard input does. That also holds when the demo itself is killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

PATIENCE = 10.0


class Failed(Exception):
    """Something of the demo failed; the text is for the person who runs it."""


class Process:
    """A child, with its output in a file."""

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.is_mourned = False
        self._log = log
        with open(log, "ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if environment is None else output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def first_line(self) -> str:
        """The first line that it prints."""
        assert self._child.stdout is not None
        return self._child.stdout.readline().decode()

    def check(self) -> None:
        """Raises Failed when it has ended by itself."""
        status = self._child.poll()
        if status is not None:
            self.is_mourned = True
            raise Failed(f"{self.name} ended with {status}; its output is in {self._log}\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its output."""
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(f"    {line}" for line in lines)

    def ask_to_end(self) -> None:
        """Ends its standard input, and with it the process, as soon as its handlers have ended."""
        if self._child.stdin is not None and not self._child.stdin.closed:
            self._child.stdin.close()

    def wait(self, deadline: float) -> int:
        """Waits for the end; kills it at the deadline (of time.monotonic)."""
        try:
            return self._child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            return self._child.wait()


def end(processes: list[Process], seconds: float = PATIENCE) -> list[str]:
    """Ends processes together. Returns complaints about those that did not end well."""
    deadline = time.monotonic() + seconds
    for process in processes:
        process.ask_to_end()
    complaints = []
    for process in processes:
        status = process.wait(deadline)
        if status != 0 and not process.is_mourned:
            complaints.append(f"{process.name} ended with {status}:\n{process.last_words()}")
    return complaints


class Tool:
    """The command `libkarafka`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def broker(self, topics: dict[str, int], log: Path) -> tuple[Process, str]:
        """Starts an embedded broker. Returns its process and its address."""
        command = [self._path, "broker", "--json", "--until-eof"]
        for name, partitions in topics.items():
            command += ["--topic", f"{name}:{partitions}"]
        process = Process("the embedded broker", command, log)
        line = process.first_line()
        if not line:
            raise Failed(f"the embedded broker did not start:\n{process.last_words()}")
        return process, json.loads(line)["bootstrap_servers"]

    def create_topic(self, name: str, partitions: int, brokers: str) -> None:
        """Creates a topic on a Kafka cluster."""
        self._ask("topics", "create", name, str(partitions), "--brokers", brokers)

    def delete_topic(self, name: str, brokers: str) -> None:
        """Deletes a topic of a Kafka cluster."""
        self._ask("topics", "delete", name, "--brokers", brokers)

    def _ask(self, *arguments: str) -> None:
        asked = subprocess.run([self._path, *arguments], capture_output=True, text=True, start_new_session=True)
        if asked.returncode != 0:
            raise Failed(asked.stderr.strip())
