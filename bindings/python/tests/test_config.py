"""Configuration: everything wrong is said at once, with names and ranges, and never with secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import libkarafka


def test_every_problem_is_said_at_once() -> None:
    with pytest.raises(libkarafka.ConfigError) as caught:
        libkarafka.App(
            bootstrap_servers="",
            concurency=3,
            concurrency=0,
            commit_interval="soon",
            kafka={"enable.auto.commit": True, "fetch.wait.max.ms": -5},
        )
    text = str(caught.value)
    for part in ("bootstrap_servers", "did you mean `concurrency`?", "concurrency = 0", "1 to 4096", "commit_interval", "enable.auto.commit"):
        assert part in text, text
    assert caught.value.kind == "Config"
    assert not caught.value.retriable and not caught.value.fatal and caught.value.code is None


def test_a_topics_options_are_checked_when_it_is_registered() -> None:
    app = libkarafka.App()
    with pytest.raises(libkarafka.ConfigError) as caught:
        app.consumer("orders", virtual_partitions=-1, max_mesages=5, retry_backoff="1h", retry_backoff_max="1s")(print)
    for part in ("virtual_partitions", "did you mean `max_messages`?", "retry_backoff_max"):
        assert part in str(caught.value)
    for name in ("", "no spaces", "a" * 300):
        with pytest.raises(libkarafka.ConfigError):
            app.consumer(name)(lambda batch: None)
    with pytest.raises(TypeError):
        app.consumer(5)(lambda batch: None)  # type: ignore[arg-type]


def test_a_topic_has_one_handler_in_a_group() -> None:
    app = libkarafka.App(group="g")
    app.consumer("orders")(lambda batch: None)
    app.consumer("orders", group="other")(lambda batch: None)
    with pytest.raises(libkarafka.ConfigError, match="another group"):
        app.consumer("orders", group="g")(lambda batch: None)


@pytest.mark.parametrize(
    ("given", "shown"),
    [(1500, "1500ms"), ("1500ms", "1500ms"), (timedelta(seconds=1.5), "1500ms"), ("2s", "2s"), (timedelta(minutes=1), "1m")],
)
def test_times_come_in_several_shapes(given: Any, shown: str) -> None:
    assert libkarafka.App(commit_interval=given).options["commit_interval"] in (shown, "60s" if shown == "1m" else shown)


@pytest.mark.parametrize("value", [set(), object(), b"10", 1j, {1: 2}, {"a": set()}, lambda: 0])
def test_values_of_no_use_are_type_errors(value: Any) -> None:
    with pytest.raises(TypeError, match="concurrency"):
        libkarafka.App(concurrency=value)


@pytest.mark.parametrize("value", [True, 1 << 70, -(1 << 70), float("nan"), 2.5, "many", timedelta.max, [1, 2]])
def test_values_out_of_range_are_config_errors(value: Any) -> None:
    with pytest.raises(libkarafka.ConfigError, match="concurrency"):
        libkarafka.App(concurrency=value)


def test_none_leaves_the_default() -> None:
    assert libkarafka.App(concurrency=None).options == libkarafka.App().options


def test_secrets_are_never_shown() -> None:
    kafka = {"sasl.password": "hunter2", "sasl.mechanism": "PLAIN", "security.protocol": "sasl_plaintext"}
    app = libkarafka.App(kafka=kafka)
    assert "hunter2" not in repr(app) + str(app.options)
    with pytest.raises(libkarafka.ConfigError) as caught:
        libkarafka.App(kafka={**kafka, "no.such.setting": "hunter2"}, password="hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_producer_checks_its_options_too() -> None:
    with pytest.raises(libkarafka.ConfigError) as caught:
        libkarafka.Producer(acks="2", compresion="zstd")
    assert "acks" in str(caught.value) and "did you mean `compression`?" in str(caught.value)
    with pytest.raises(libkarafka.ConfigError, match="concurrency"):
        libkarafka.Producer(concurrency=3)
    with pytest.raises(TypeError):
        libkarafka.Producer("localhost:9092")  # type: ignore[call-arg]


def test_every_kind_has_a_class() -> None:
    kinds = {known.kind for known in libkarafka.Error.__subclasses__()}
    assert kinds == {
        "Config", "Broker", "Auth", "Timeout", "Fenced", "NotOwned", "Handler", "Deserialize", "Transaction", "QueueFull",
        "Stopped", "Forked", "Unsupported", "Internal",
    }  # fmt: skip
    for kind in kinds:
        assert f"{kind}Error" in libkarafka.__all__
