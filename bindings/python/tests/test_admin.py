"""What the embedded broker can be asked. Everything else is asked of a real one in tests/behaviour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

import libkarafka
from conftest import Place, Program

ADDRESS = "embedded://admin"


@pytest.fixture(scope="module")
def admin() -> libkarafka.Admin:
    return libkarafka.Admin(bootstrap_servers=ADDRESS)


def test_topics_are_made_found_and_measured(admin: libkarafka.Admin) -> None:
    admin.create_topic("made", 2)
    topic = admin.topic("made")
    assert (topic.name, [one.partition for one in topic.partitions]) == ("made", [0, 1])
    assert topic.partitions[0].replicas == [broker.id for broker in admin.cluster().brokers]
    assert "made" in [found.name for found in admin.topics()]
    with libkarafka.Producer(bootstrap_servers=ADDRESS) as producer:
        producer.produce_sync("made", "value", partition=1)
    assert [(mark.first, mark.end) for mark in admin.watermarks("made")] == [(0, 0), (0, 1)]


def test_one_of_two_fails_and_only_that_one(admin: libkarafka.Admin) -> None:
    admin.create_topic("there")
    first, second = admin.create_topics([libkarafka.NewTopic("there"), libkarafka.NewTopic("other", partitions=3)])
    assert (first.item, first.is_ok, second.item, second.is_ok) == ("there", False, "other", True)
    with pytest.raises(libkarafka.BrokerError) as raised:
        first.get()
    assert raised.value.code == 36
    assert len(admin.topic("other", timeout=20).partitions) == 3


def test_topics_become_as_they_are_declared(admin: libkarafka.Admin) -> None:
    declared = [libkarafka.DeclaredTopic("declared", 2), libkarafka.DeclaredTopic("absent", is_absent=True)]
    steps = admin.plan(declared)
    assert [(step.kind, str(step), step.is_destructive) for step in steps] == [
        ("create", "create declared, 2 partitions", False)
    ]
    (outcome,) = admin.apply(steps)
    assert outcome.is_ok and outcome.item == steps[0]
    assert admin.plan(declared) == []
    assert admin.align([libkarafka.DeclaredTopic("declared")]) == []
    gone = admin.plan([libkarafka.DeclaredTopic("declared", is_absent=True)])
    assert gone[0].is_destructive
    assert isinstance(admin.apply(gone)[0].error, libkarafka.ConfigError)
    assert isinstance(admin.apply(gone, allow_destruction=True)[0].error, libkarafka.UnsupportedError)


def test_what_cannot_be_is_refused(admin: libkarafka.Admin) -> None:
    admin.create_topic("refused")
    calls: list[Callable[[], object]] = [
        lambda: admin.delete_topic("t"),
        admin.groups,
        admin.acls,
        lambda: admin.configs(topic="t"),
        lambda: admin.seek_group("g", "refused", datetime.now(timezone.utc)),
        lambda: admin.truncate("t", {0: None}),
    ]
    for call in calls:
        with pytest.raises(libkarafka.UnsupportedError):
            call()
    with pytest.raises(libkarafka.BrokerError):
        admin.topic("nowhere")
    for call in (
        lambda: admin.create_topic("t", 0),
        lambda: admin.configs(topic="t", broker=1),
        lambda: admin.acls(resource="user"),
        lambda: libkarafka.Admin(bootstrap_servers=ADDRESS, linger=1),
    ):
        with pytest.raises(libkarafka.ConfigError):
            call()
    with pytest.raises(ValueError):
        admin.delete_acls()
    with pytest.raises(ValueError):
        admin.seek_group("g", "t", datetime.now())
    with pytest.raises(libkarafka.BrokerError, match="127.0.0.1:1"):
        libkarafka.Admin(bootstrap_servers="127.0.0.1:1", timeout="300ms")


def test_ctrl_c_ends_a_call_and_a_forked_child_is_refused() -> None:
    program = Program("""
        admin = libkarafka.Admin(bootstrap_servers="embedded://")
        child = os.fork()
        if child == 0:
            try:
                admin.cluster()
            except libkarafka.ForkedError:
                os._exit(7)
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "was the child")
        try:
            print("waiting", flush=True)
            libkarafka.Admin(bootstrap_servers="127.0.0.1:1", timeout="60s")
        except KeyboardInterrupt:
            print("interrupted")
    """)
    program.read_until("7 was the child")
    program.read_until("waiting")
    program.process.send_signal(2)
    status, out, errors = program.end(20)
    assert (status, out.split()) == (0, ["interrupted"]), errors
