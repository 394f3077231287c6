"""What is to happen with messages that fail, by classes of exceptions and by a strategy."""

from __future__ import annotations

import threading

import pytest

import libkarafka


class Broken(Exception):
    pass


class Passing(Exception):
    pass


def _told(app, *names):
    """What happens, as pairs of the event's name and the offset."""
    told, changed = [], threading.Condition()

    def tell(event):
        with changed:
            told.append((event.name, int(event.fields["offset"])))
            changed.notify_all()

    for name in names:
        app.on(name, tell)
    return told, changed


def _run(place, values, handle, event, **options):
    """Handles the values until an event of this name came; gives what came and the attempts at each value."""
    records = [{"topic": place.topic, "value": value, "partition": 0} for value in values]
    for delivery in place.producer.produce_many(records):
        delivery.wait(10)
    app = place.app()
    attempts: dict[bytes, list[int]] = {}
    told, changed = _told(app, "message.discarded", "dead_letter_queue.dispatched")

    @app.consumer(place.topic, retry_backoff=1, retry_backoff_max=5, **options)
    def consume(batch):
        for message in batch:
            attempts.setdefault(message.value, []).append(message.attempt)
            assert message.retrying == (message.attempt > 1)
            handle(message)

    app.start()
    with changed:
        assert changed.wait_for(lambda: any(name == event for name, _ in told), 30), told
    app.stop()
    app.join(30)
    return told, attempts


def _dead_letters(place):
    name = f"{place.topic}-dead"
    place.broker.create_topic(name, 1)
    return name


def _raise(error):
    raise error


def test_a_message_counts_as_done_for_an_exception_that_is_discarded(place):
    handle = lambda message: _raise(Broken()) if message.value == b"bad" else None
    told, attempts = _run(place, [b"good", b"bad"], handle, "message.discarded", discard_on=Broken)
    assert told == [("message.discarded", 1)]
    assert len(attempts[b"bad"]) <= 2


def test_exceptions_that_are_not_to_be_retried_go_to_the_dead_letters_at_once(place):
    dead = _dead_letters(place)
    handle = lambda message: _raise(Broken())
    told, attempts = _run(
        place, [b"bad"], handle, "dead_letter_queue.dispatched", retry_on=(Passing,), dead_letter_queue_topic=dead
    )
    assert told == [("dead_letter_queue.dispatched", 0)]
    assert attempts == {b"bad": [1]}


def test_attempts_are_exactly_one_more_than_retries(place):
    dead = _dead_letters(place)
    handle = lambda message: _raise(Broken())
    group = {"topic": dead, "max_retries": 2}
    told, attempts = _run(place, [b"bad"], handle, "dead_letter_queue.dispatched", dead_letter_queue=group)
    assert told == [("dead_letter_queue.dispatched", 0)]
    assert attempts == {b"bad": [1, 2, 3]}


def test_a_strategy_sees_the_message_its_exception_and_earlier_ones(place):
    dead = _dead_letters(place)
    seen = []

    def strategy(message, error, earlier):
        seen.append((message.value, type(error), [name.rpartition(".")[2] for name, _ in earlier]))
        return "retry" if len(earlier) < 2 else "skip"

    handle = lambda message: _raise(Broken("again"))
    group = {"topic": dead, "strategy": strategy}
    told, attempts = _run(place, [b"bad"], handle, "message.discarded", dead_letter_queue=group)
    assert told == [("message.discarded", 0)]
    assert seen == [(b"bad", Broken, ["Broken"] * number) for number in range(3)]


def test_what_is_no_class_is_refused(place):
    app = place.app()
    with pytest.raises(TypeError, match="discard_on takes classes"):
        app.consumer(place.topic, discard_on=[3])(print)


def test_a_topic_cannot_be_its_own_dead_letters(place):
    with pytest.raises(libkarafka.ConfigError, match="the topic itself"):
        place.app().consumer(place.topic, dead_letter_queue_topic=place.topic)(print)
