"""What an app tells of itself: events by name, numbers, statistics; and listeners that behave badly."""

from __future__ import annotations

import signal
import threading
import time

import pytest

import libkarafka
from conftest import Place, Program, eventually


def test_workers_tell_of_their_jobs_to_who_names_them(place: Place) -> None:
    place.create()
    place.fill(1)
    app = place.app()
    workers = app.events("worker.process", "worker.processed")
    # What the worker is busy with.
    app.consumer(place.topic)(lambda batch: time.sleep(0.01))
    app.start()
    took, freed = next(workers), next(workers)
    assert (took.name, freed.name) == ("worker.process", "worker.processed")
    expected = {"calls": "handler", "topic": place.topic, "partition": 0, "offset": 0, "messages": 1}
    assert took.fields == {"worker": freed.fields["worker"], **expected}
    assert isinstance(freed.fields["time_taken_ms"], float) and freed.fields["time_taken_ms"] >= 10
    app.stop()
    app.join(15)


def test_events_of_single_calls_come_to_who_names_them_with_numbers(place: Place) -> None:
    place.create()
    app = place.app()
    calls = app.events("consumer.consume", "consumer.consumed")
    usual = app.events()
    app.consumer(place.topic, max_messages=5)(lambda batch: time.sleep(0.01))
    place.fill(5)
    app.start()
    begun, ended = next(calls), next(calls)
    assert (begun.name, ended.name) == ("consumer.consume", "consumer.consumed")
    assert begun.fields["topic"] == place.topic
    assert (begun.fields["partition"], begun.fields["offset"], begun.fields["attempt"]) == (0, 0, 1)
    assert ended.fields["succeeded"] is True and 1 <= ended.fields["messages"] <= 5
    assert isinstance(ended.fields["time_taken_ms"], float) and ended.fields["time_taken_ms"] >= 10
    app.stop()
    app.join(15)
    heard = [event for event in usual]
    assert not any(event.name.startswith("consumer.") for event in heard)
    assigned = next(event for event in heard if event.name == "rebalance.partitions_assigned")
    assert assigned.fields["partitions"] and assigned.fields["partitions"][0] == (place.topic, 0)


def test_an_iterator_that_nobody_reads_leaves_no_thread(place: Place) -> None:
    def gathering() -> int:
        return sum(thread.name == "karafka-events" for thread in threading.enumerate())

    place.create()
    place.fill(1500)
    before = gathering()
    app = place.app()
    unread = app.events("consumer.consume", "consumer.consumed")
    handled: list[int] = []
    app.consumer(place.topic, max_messages=1)(lambda batch: handled.append(len(batch)))
    app.start()
    eventually(lambda: len(handled) == 1500)
    app.stop()
    app.join(15)
    # What was told is there, also after the end.
    assert next(unread).name == "consumer.consume"
    assert gathering() == before + 1, "it waits for a reader"
    del unread
    eventually(lambda: gathering() == before)


def test_a_name_that_no_event_has_is_refused(place: Place) -> None:
    with pytest.raises(libkarafka.ConfigError, match="did you mean"):
        place.app().on("consumer.consumd", print)


def test_failures_come_to_listeners_of_error_occurred(place: Place) -> None:
    place.create()
    app = place.app()
    heard: list[libkarafka.Event] = []
    app.on("error.occurred", heard.append)

    @app.consumer(place.topic, retry_backoff=1)
    def fail(batch: libkarafka.Batch) -> None:
        if not heard:
            raise ValueError("look here")

    place.fill(1)
    app.start()
    eventually(lambda: heard)
    fields = heard[0].fields
    assert (fields["type"], fields["kind"]) == ("consumer.consume.error", "Handler")
    assert (fields["topic"], fields["partition"], fields["offset"]) == (place.topic, 0, 0)
    assert "Traceback" in fields["backtrace"]
    app.stop()
    app.join(15)


def test_listeners_that_raise_or_never_come_back_harm_nobody(place: Place) -> None:
    place.create()
    app = place.app()
    gate = threading.Event()
    heard: list[str] = []
    seen: list[int] = []

    @app.on("*")
    def hangs(event: libkarafka.Event) -> None:
        gate.wait()

    @app.on("app.*")
    def raises(event: libkarafka.Event) -> None:
        raise RuntimeError("the listener's own")

    app.on("app.*", lambda event: heard.append(event.name))
    app.consumer(place.topic)(lambda batch: seen.extend(batch.offsets()))
    place.fill(20)
    app.start()
    eventually(lambda: len(seen) == 20)
    app.stop()
    before = time.monotonic()
    assert app.join(15)
    assert time.monotonic() - before < 12
    assert heard == ["app.running", "app.stopping", "app.stopped"]
    gate.set()


def test_statistics_go_on_while_a_handler_blocks(place: Place) -> None:
    place.create()
    app = place.app(statistics_interval=100, concurrency=1)
    told = app.events("statistics.emitted")
    gate, running = threading.Event(), threading.Event()

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        running.set()
        gate.wait(30)

    with pytest.raises(libkarafka.StoppedError):
        app.statistics()
    place.fill(10)
    app.start()
    assert running.wait(15)
    busy = next(event for event in told if event.fields["workers_busy"] == 1 and event.fields["clients"])
    lagging = next(
        event for event in told if any(p.get("lag") == 10 for p in event.fields["clients"][0]["partitions"])
    )
    assert lagging.fields["longest_running_ms"] >= busy.fields["longest_running_ms"] > 0
    now = app.statistics()
    call = now["calls"][0]
    assert (now["phase"], call["topic"], call["partition"], call["offset"]) == ("running", place.topic, 0, 0)
    gate.set()
    app.stop()
    app.join(15)


RUNNING = """
    app = make(concurrency=1)
    @app.consumer("t")
    def handle(batch):
        print("handling")
        if hold:
            time.sleep(60)
    app.on("app.quiet", lambda event: print("quiet"))
    app.on("app.stopping", lambda event: print("stopping"))
    app.on("process.notice_signal", lambda event: print("noticed", event.fields["signal"]))
    fill(1)
    app.run(signals=True)
    print("returned", app.phase)
"""


def test_quiet_goes_on_and_quiet_then_stop_returns() -> None:
    program = Program("hold = False\n" + _plain(RUNNING))
    program.read_until("handling")
    program.process.send_signal(signal.SIGTSTP)
    program.read_until("quiet")
    program.process.send_signal(signal.SIGCONT)
    program.read_until("noticed CONT")
    program.process.send_signal(signal.SIGTSTP)
    program.read_until("quiet")
    program.process.send_signal(signal.SIGTERM)
    status, out, errors = program.end()
    assert (status, errors) == (0, "") and "returned stopped" in out


def test_ttin_tells_what_every_worker_does_and_the_second_signal_forces() -> None:
    program = Program("hold = True\n" + _plain(RUNNING))
    program.read_until("handling")
    program.process.send_signal(signal.SIGTTIN)
    program.read_until("noticed TTIN")
    program.process.send_signal(signal.SIGINT)
    program.read_until("stopping")
    before = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    status, out, errors = program.end()
    assert status == 2, errors
    assert time.monotonic() - before < 8
    assert "handle of t/" in errors and "a worker of libkarafka" in errors and "in handle" in errors
    assert "forced: 1 calls" in errors and "returned" not in out


def test_a_second_sigterm_no_longer_waits_for_handlers() -> None:
    program = Program("hold = True\n" + _plain(RUNNING).replace("signals=True", ""))
    program.read_until("handling")
    program.process.terminate()
    program.read_until("stopping")
    before = time.monotonic()
    program.process.terminate()
    status, _, errors = program.end()
    assert status == 1 and "TimeoutError" in errors, errors
    assert time.monotonic() - before < 8


def _plain(source: str) -> str:
    import textwrap

    return textwrap.dedent(source)
