"""Tasks that run at the times of a cron pattern, in one member of a group."""

from __future__ import annotations

import gc
import json
import time
import weakref
from datetime import datetime, timezone

import pytest

import libkarafka
from conftest import Place, eventually


def test_tasks_run_at_their_times_and_on_command(place: Place) -> None:
    if not isinstance(place.broker, libkarafka.EmbeddedBroker):
        pytest.skip("its topic would have to be compacted")
    topic, log = place.create(), place.group + "-log"
    place.broker.create_topic(log, 1)
    app = place.app()
    tasks = app.recurring_tasks(topic, interval="50ms", log_topic=log)
    often: list[tuple[datetime | None, datetime]] = []
    rare: list[libkarafka.TaskRun] = []
    ended: list[str] = []

    @tasks.task("often", "* * * * * *")
    def often_(run: libkarafka.TaskRun) -> None:
        often.append((run.scheduled, datetime.now(timezone.utc)))

    @tasks.task("exits", "@yearly")
    def exits(run: libkarafka.TaskRun) -> None:
        raise SystemExit(1)

    tasks.task("rare", "0 0 29 2 *")(rare.append)

    @tasks.task("long", "@yearly")
    def long(run: libkarafka.TaskRun) -> None:
        assert not run.should_end
        ended.append("began")
        while not run.should_end:
            time.sleep(0.01)
        ended.append("ended")

    failed: list[libkarafka.Event] = []
    app.on("recurring_tasks.error", failed.append)
    app.start()
    eventually(lambda: len(often) >= 2)
    for scheduled, now in often:
        assert scheduled is not None
        assert scheduled.microsecond == 0
        assert now >= scheduled
    place.producer.disable_task(topic, "often")
    place.producer.trigger_task(topic, "rare")
    eventually(lambda: len(rare) == 1)
    assert (rare[0].task, rare[0].scheduled) == ("rare", None)
    count = len(often)
    place.producer.trigger_task(topic, "exits")
    eventually(lambda: len(failed) == 1)
    assert (failed[0].fields["task"], failed[0].fields["error_class"]) == ("exits", "SystemExit")
    place.producer.enable_task(topic, "rare")
    place.producer.trigger_task(topic, "long")
    eventually(lambda: ended == ["began"])
    assert len(often) == count, "it runs although it is disabled"
    app.stop()
    app.join(10)
    assert ended == ["began", "ended"]
    with libkarafka.Reader(log, bootstrap_servers=place.broker.address) as reader:
        lines = [json.loads(message.value or b"") for message in reader]
    assert [line["task"] for line in lines if not line["succeeded"]] == ["exits"]


def test_an_app_with_tasks_is_collected(place: Place) -> None:
    app = libkarafka.App(bootstrap_servers=place.broker.address, group=place.group)
    tasks = app.recurring_tasks(place.topic)
    tasks.task("a", "@daily")(lambda run: app.stop())
    gone = weakref.ref(app)
    del app, tasks
    gc.collect()
    assert gone() is None


def test_mistakes_are_told_at_once(place: Place) -> None:
    app = place.app()
    with pytest.raises(libkarafka.ConfigError, match="`catch_up`"):
        app.recurring_tasks(place.topic, intervall=1)
    with pytest.raises(libkarafka.ConfigError, match="no time zone"):
        app.recurring_tasks(place.topic, time_zone="Mars/Olympus")
    tasks = app.recurring_tasks(place.topic)
    with pytest.raises(libkarafka.ConfigError, match='"25" is no hour'):
        tasks.task("a", "0 25 * * *")(print)
    with pytest.raises(libkarafka.ConfigError):
        place.producer.trigger_task(place.topic, "")

    async def later(run: libkarafka.TaskRun) -> None: ...

    with pytest.raises(libkarafka.ConfigError, match="plain function"):
        tasks.task("a", "@daily")(later)
