"""Topics by a compiled pattern, and options that are lists."""

from __future__ import annotations

import re

import pytest

import libkarafka
from conftest import Place


def test_a_compiled_pattern_reads_every_topic_whose_whole_name_matches(place: Place) -> None:
    stem = place.topic
    for topic in (f"{stem}-a", f"{stem}-B", f"x{stem}-c"):
        place.broker.create_topic(topic, 1)
        place.producer.produce(topic, topic).wait(10)
    seen: list[str] = []
    app = place.app()

    @app.consumer(re.compile(f"{re.escape(stem)}-[ab]", re.IGNORECASE))
    def handle(batch: libkarafka.Batch) -> None:
        seen.append(batch.topic)
        if len(seen) == 2:
            app.stop()

    app.run()
    assert sorted(seen) == [f"{stem}-B", f"{stem}-a"]


def test_a_flag_that_python_alone_has_is_refused(place: Place) -> None:
    with pytest.raises(libkarafka.ConfigError, match="IGNORECASE only"):
        place.app().consumer(re.compile("a b", re.VERBOSE))(lambda batch: None)


def test_a_list_names_partitions(place: Place) -> None:
    place.create(3)
    for partition in range(3):
        place.fill(1, partition=partition)
    seen: list[int] = []
    app = place.app()

    @app.consumer(place.topic, assign=[0, 2])
    def handle(batch: libkarafka.Batch) -> None:
        seen.append(batch.partition)
        if len(seen) == 2:
            app.stop()

    app.run()
    assert sorted(seen) == [0, 2]
