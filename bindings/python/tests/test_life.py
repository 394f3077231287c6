"""An app's life: start, quiet, resume, resize, stop; what happens meanwhile; and calls that come too early or late."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from pathlib import Path

import pytest

import libkarafka
from conftest import Place, eventually

# Of nobody; what counts is that a client can read it.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUTVJ3Mp7ELEZBc8t7gOeeb+dywEwwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjEyMDQ4NDBaGA8yMTI2MTAyODIwNDg0
MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDjK
I/4RpLCV3BPN1Tt9GMsKdMzU2T+aIAfEB60HyV9eUoEWfHPQmqFSz10iRen+HSM3
Uc5Zsc7fW4ZAlXpqVBSjUzBRMB0GA1UdDgQWBBScza7qN3/vhqJqr9gZNStDj71H
yzAfBgNVHSMEGDAWgBScza7qN3/vhqJqr9gZNStDj71HyzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCAckxUkvhH6odw9DzipJZRdNpLNmc4nARm
06ZM/CifmAIgVKV3bOzoU7zSZ9RmLDgnrkXxSGYgOjQN+AyeyUGdTiI=
-----END CERTIFICATE-----
"""


def test_phases_are_told_in_their_order(place: Place) -> None:
    place.create()
    app = place.app()
    events = app.events()
    told: list[str] = []
    app.consumer(place.topic)(lambda batch: None)

    @app.on("app.running")
    def running(event: libkarafka.Event) -> None:
        told.append(event.name)
        app.stop()

    app.on("app.stopped", lambda event: told.append(event.name))
    assert app.phase == "initialized"
    app.run()
    assert app.phase == "stopped"
    assert told == ["app.running", "app.stopped"]
    names = [event.name for event in events if event.name.startswith("app.")]
    assert names == ["app.running", "app.stopping", "app.stopped"]
    assert list(app.events()) == [], "an iterator that is made after the end ends at once"


def test_quiet_starts_no_calls_and_resume_does(place: Place) -> None:
    place.create()
    seen: list[int] = []
    app = place.app()
    events = app.events()
    app.consumer(place.topic)(lambda batch: seen.extend(batch.offsets()))
    app.start()
    place.fill(5)
    eventually(lambda: len(seen) == 5)
    app.quiet()
    next(event for event in events if event.name == "app.quiet")
    assert app.phase == "quiet"
    place.fill(5)
    app.resume()
    eventually(lambda: len(seen) == 10)


def test_resizing_changes_how_many_run(place: Place) -> None:
    place.create()
    place.fill(200, keys=200)
    running, peaks, lock = 0, [0], threading.Lock()
    app = place.app(concurrency=2)

    @app.consumer(place.topic, virtual_partitions="by_key", max_messages=1)
    def handle(batch: libkarafka.Batch) -> None:
        nonlocal running
        with lock:
            running += 1
            peaks[-1] = max(peaks[-1], running)
        time.sleep(0.01)
        with lock:
            running -= 1

    app.start()
    eventually(lambda: peaks[0] == 2)
    peaks.append(0)
    app.resize(12)
    eventually(lambda: peaks[1] > 8)
    for wrong in (0, 100_000):
        with pytest.raises(libkarafka.ConfigError, match="between 1 and 4096"):
            app.resize(wrong)
    app.resize(1)
    place.fill(60, keys=200)
    eventually(lambda: running <= 1)
    peaks.append(0)
    eventually(lambda: peaks[2] > 0)
    app.stop()
    app.join(15)
    assert peaks[0] == 2 and peaks[2] <= 2


def test_calls_at_the_wrong_time_are_errors(place: Place) -> None:
    place.create()
    app = place.app()
    with pytest.raises(libkarafka.ConfigError, match="no topic"):
        app.start()
    with pytest.raises(libkarafka.StoppedError, match="not started"):
        app.join()
    for too_early in (app.quiet, app.resume):
        with pytest.raises(libkarafka.StoppedError):
            too_early()
    app.consumer(place.topic)(lambda batch: None)
    app.start()
    for again in (app.start, app.run):
        with pytest.raises(libkarafka.StoppedError, match="starts once"):
            again()
    with pytest.raises(libkarafka.StoppedError, match="started already"):
        app.consumer("other")(lambda batch: None)
    assert app.join(0.01) is False
    app.stop()
    assert app.join(15) is True
    assert app.join() is True
    app.stop()
    for too_late in (app.start, app.quiet, app.resume):
        with pytest.raises(libkarafka.StoppedError):
            too_late()


def test_an_app_that_is_stopped_before_its_start_does_not_start(place: Place) -> None:
    app = place.app()
    app.consumer(place.topic)(lambda batch: None)
    app.stop()
    with pytest.raises(libkarafka.StoppedError):
        app.run()


def test_an_app_whose_start_was_refused_starts_when_the_cause_is_gone(place: Place, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate"
    app = place.app(kafka={"security.protocol": "ssl", "ssl.ca.location": str(certificate)})
    app.consumer(place.topic)(lambda batch: None)
    for again in (app.start, app.run):
        with pytest.raises(libkarafka.ConfigError, match="ssl.ca.location"):
            again()
    assert app.phase == "initialized"
    certificate.write_text(CERTIFICATE)
    app.start()
    app.stop()
    assert app.join(15)


def test_handlers_that_are_left_behind_are_told(place: Place) -> None:
    place.create()
    place.fill(1)
    begun, go = threading.Event(), threading.Event()
    app = place.app()

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        begun.set()
        go.wait(30)
        assert context.stopping and context.revoked
        assert not context.mark_as_consumed(batch[0])

    app.start()
    assert begun.wait(15)
    app.stop(0.1)
    for _ in range(2):
        with pytest.raises(libkarafka.TimeoutError, match=place.topic):
            app.join(15)
    go.set()


def test_a_listener_that_raises_is_logged_and_harms_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.create()
    app = place.app()
    app.consumer(place.topic)(lambda batch: None)

    @app.on("app.running")
    def fail(event: libkarafka.Event) -> None:
        app.stop()
        raise ValueError("in a listener")

    app.run()
    assert "a listener of app.running raised" in caplog.text and "in a listener" in caplog.text


def test_what_nobody_listens_to_is_logged_with_its_traceback(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.create()
    place.fill(1)
    app = place.app()

    @app.consumer(place.topic, retry_backoff=1)
    def handle(batch: libkarafka.Batch, context: libkarafka.Context) -> None:
        if not context.retrying:
            raise ValueError("look here")
        app.stop()

    with caplog.at_level(logging.ERROR, "libkarafka"):
        app.run()
    record = next(record for record in caplog.records if "consumer.consume.error" in record.message)
    assert "ValueError: look here" in record.message and "in handle" in record.message


def test_a_listener_cannot_wait_for_itself(place: Place) -> None:
    place.create()
    app = place.app()
    app.consumer(place.topic)(lambda batch: None)
    raised: list[Exception] = []

    @app.on("app.running")
    def wait(event: libkarafka.Event) -> None:
        try:
            app.join()
        except RuntimeError as error:
            raised.append(error)
        app.stop()

    app.run()
    assert len(raised) == 1


def test_a_broker_that_is_away_is_told(place: Place) -> None:
    app = libkarafka.App(bootstrap_servers="127.0.0.1:9")
    app.consumer("t")(lambda batch: None)
    events = app.events()
    app.start()
    before = time.monotonic()
    event = next(event for event in events if event.name == "error.occurred")
    assert time.monotonic() - before < 10
    assert event.fields["kind"] == "Broker" and "127.0.0.1:9" in event.fields["error"]
    app.stop(1)
    app.join(15)


def test_a_stopped_app_lets_go_of_its_handlers(place: Place) -> None:
    place.create()

    class Held:
        pass

    def life() -> tuple[weakref.ref[Held], weakref.ref[libkarafka.App]]:
        held = Held()
        app = place.app()

        @app.consumer(place.topic)
        def handle(batch: libkarafka.Batch) -> None:
            print(held, app)

        app.start()
        app.stop()
        app.join(15)
        place._apps.remove(app)
        return weakref.ref(held), weakref.ref(app)

    held, app = life()

    def is_gone() -> bool:
        gc.collect()
        return held() is None and app() is None

    eventually(is_gone)


def test_a_handler_may_stop_and_resize_and_even_join_nothing(place: Place) -> None:
    place.create()
    place.fill(1)
    app = place.app()

    @app.consumer(place.topic)
    def handle(batch: libkarafka.Batch) -> None:
        app.resize(3)
        app.quiet()
        app.resume()
        app.stop()
        assert app.join(0) is False

    app.run()


def test_run_on_another_thread(place: Place) -> None:
    place.create()
    place.fill(1)
    app = place.app()
    app.consumer(place.topic)(lambda batch: app.stop())
    thread = threading.Thread(target=app.run)
    thread.start()
    thread.join(15)
    assert not thread.is_alive() and app.phase == "stopped"


def test_two_apps_beside_each_other(place: Place) -> None:
    place.create()
    place.fill(10)
    seen: dict[int, list[int]] = {0: [], 1: []}
    apps = [place.app(), place.app()]
    for number, app in enumerate(apps):
        app.consumer(place.topic, group=f"{place.group}-{number}")(
            lambda batch, number=number: seen[number].extend(batch.offsets())
        )
        app.start()
    eventually(lambda: seen == {0: list(range(10)), 1: list(range(10))})
