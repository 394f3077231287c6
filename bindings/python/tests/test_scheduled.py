"""Messages that wait in a topic until their time."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

import libkarafka
from conftest import Place, eventually


def test_a_message_comes_at_its_time_unless_it_is_cancelled(place: Place) -> None:
    if not isinstance(place.broker, libkarafka.EmbeddedBroker):
        pytest.skip("its topic would have to be compacted")
    reminders, later = place.create(), place.group + "-later"
    place.broker.create_topic(later, 2)
    came: list[tuple[bytes | None, bytes | None, float]] = []
    app = place.app()

    @app.consumer(reminders)
    def handle(batch: libkarafka.Batch) -> None:
        came.extend((message.value, message.key, time.time()) for message in batch)

    app.scheduled_messages(later, interval="50ms")
    app.start()
    now = datetime.now(timezone.utc)
    at = now + timedelta(milliseconds=500)
    cancelled = place.producer.schedule(later, now + timedelta(milliseconds=400), reminders, "cancelled")
    place.producer.cancel(later, cancelled)
    place.producer.schedule(later, at, reminders, "tea", "ada", headers={"cup": "1"})
    place.producer.schedule(later, int(now.timestamp() * 1000) - 60_000, reminders, None, "gone")

    eventually(lambda: len(came) == 2)
    app.stop()
    app.join(10)
    # On a busy machine both are due at the first look.
    gone, tea = sorted(came, key=lambda one: one[0] is not None)
    assert gone[:2] == (None, b"gone")
    assert tea[:2] == (b"tea", b"ada")
    assert tea[2] >= at.timestamp()


def test_mistakes_are_told_at_once(place: Place) -> None:
    later = place.topic
    with pytest.raises(libkarafka.ConfigError, match="milliseconds"):
        place.producer.schedule(later, 1_700_000_000, "t", "x")
    with pytest.raises(libkarafka.ConfigError):
        place.producer.cancel(later, "nonsense")
    with pytest.raises(ValueError, match="time zone"):
        place.producer.schedule(later, datetime(2030, 1, 1), "t", "x")
    with pytest.raises(libkarafka.ConfigError, match="`interval` and `group`"):
        place.app().scheduled_messages(later, intervall=1)
