"""``python -m libkarafka run``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import sys, threading
import libkarafka
broker = libkarafka.EmbeddedBroker()
broker.create_topic("t")
libkarafka.Producer(bootstrap_servers="embedded://").produce("t", "x").wait(10)
app = libkarafka.App(bootstrap_servers="embedded://", group="g", shutdown_timeout=300)

@app.consumer("t")
def handle(batch):
    print("handled", flush=True)
    if "hang" in sys.modules[__name__].__file__:
        threading.Event().wait()

def make():
    return app

nothing = 7
"""


def execute(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "libkarafka", *arguments],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def stopped(directory: Path, place: str) -> tuple[int, str]:
    process = execute(directory, "run", place)
    assert process.stdout is not None
    assert process.stdout.readline() == "handled\n", process.communicate()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.parametrize("place", ["billing:app", "billing", "billing:make"])
def test_an_app_is_run_until_a_signal(tmp_path: Path, place: str) -> None:
    (tmp_path / "billing.py").write_text(APP)
    assert stopped(tmp_path, place) == (0, "")


def test_handlers_that_are_left_behind(tmp_path: Path) -> None:
    (tmp_path / "hang.py").write_text(APP)
    status, errors = stopped(tmp_path, "hang:app")
    assert status == 2 and "libkarafka: stop:" in errors, errors


def test_a_program_tells_its_flow_and_does_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flow.py").write_text(
        "import atexit, libkarafka\n"
        "atexit.register(print, 'something else')\n"
        "app = libkarafka.App(bootstrap_servers='127.0.0.1:1')\n"
        "app.consumer('orders', produces={'invoices': 'required', 'audit': {'multiple': True}})(lambda batch: None)\n"
        "app.consumer('payments', produces=['paid', 'audit'])(lambda batch: None)\n"
    )
    monkeypatch.setenv("LIBKARAFKA_FLOW", "-")
    process = execute(tmp_path, "run", "flow")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    topics = json.loads(output)["topics"]
    written = [[(one["topic"], one["required"], one["multiple"]) for one in topic["writes"]] for topic in topics]
    assert written == [
        [("audit", False, True), ("invoices", True, False)],
        [("audit", False, False), ("paid", False, False)],
    ]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / "billing.py").write_text(APP)
    (tmp_path / "wrong.py").write_text("import libkarafka\napp = libkarafka.App(concurrency=0)\n")
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    for arguments, status, words in [
        ([], 64, "usage"),
        (["run"], 64, "MODULE:APP"),
        (["run", "billing", "more"], 64, "more"),
        (["--version"], 0, ""),
        (["run", "nowhere:app"], 78, f"looked for it in {tmp_path}"),
        (["run", "billing:nobody"], 78, "billing has no nobody"),
        (["run", "billing:nothing"], 78, "is no App, but int"),
        (["run", ":app"], 78, "looks like module:app"),
        (["run", ".billing"], 78, "looks like module:app"),
        (["run", "wrong"], 78, "concurrency"),
        (["run", "broken"], 1, "No module named 'no_such_module'"),
    ]:
        process = execute(tmp_path, *arguments)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == status and words in errors, (arguments, process.returncode, errors)
        assert status != 78 or len(errors.splitlines()) == 1, errors
