"""Appending and loading: all or nothing, each on its own, again, and too late."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from domain.cause import Cause
from infra.event_store import EventStore, Log, LostRaceError, NewEvent, Verdict, caused
from tests.infra.event_store.facts import NOON, fact, facts

Connection = psycopg.Connection[tuple[object, ...]]


def again(new: NewEvent) -> NewEvent:
    """Another fact in the same place."""
    return new._replace(event_id=uuid4())


def versions(store: EventStore, stream: str) -> list[int]:
    return [event.originator_version for event in store.load(Log.TASKS, [stream]).get(stream, [])]


def test_what_is_appended_is_loaded_stream_by_stream_in_order_of_version(store: EventStore) -> None:
    new = [fact("b", 2), fact("a", 1), fact("b", 1), fact("c", 1)]
    store.append(Log.TASKS, new)

    loaded = store.load(Log.TASKS, ["a", "b", "nobody"])

    assert loaded == {"a": [new[1].event], "b": [new[2].event, new[0].event]}
    assert store.load(Log.LICENSING, ["a", "b"]) == {}


def test_positions_are_told_in_the_order_of_the_events(store: EventStore) -> None:
    new = [fact(stream) for stream in "dacb"]

    positions = store.append(Log.TASKS, new)

    page = store.read(Log.TASKS, after=0, limit=10)
    assert positions == sorted(positions)
    assert [(row.position, row.event, row.event_id) for row in page.events] == [
        (position, each.event, each.event_id) for position, each in zip(positions, new, strict=True)
    ]


def test_what_a_cause_brings_about_carries_its_ids_and_metadata(store: EventStore) -> None:
    cause = Cause(id=uuid4(), at=NOON, actor="test", tenant="acme")

    store.append(Log.TASKS, caused([fact("s", 1).event, fact("s", 2).event], cause, first=3))

    events = store.read(Log.TASKS, after=0, limit=10).events
    assert [row.event_id for row in events] == [cause.event_id(3), cause.event_id(4)]
    said = cause.metadata() | {"schema_version": type(events[0].event).class_version}
    assert [row.metadata for row in events] == [said] * 2
    assert all(row.recorded_at.utcoffset() == timedelta(0) for row in events)
    assert store.known_event_ids(Log.TASKS, [cause.event_id(3), cause.event_id(5)]) == {cause.event_id(3)}
    assert store.known_event_ids(Log.LICENSING, [cause.event_id(3)]) == set()


def test_nothing_is_appended_loaded_and_known_without_asking(store: EventStore) -> None:
    assert store.append(Log.TASKS, []) == []
    assert store.append_each(Log.TASKS, []) == []
    assert store.load(Log.TASKS, []) == {}
    assert store.known_event_ids(Log.TASKS, []) == set()


def test_a_repeat_gives_the_first_positions_and_stores_nothing(store: EventStore) -> None:
    new = facts("s", [1, 2])
    first = store.append(Log.TASKS, new)

    assert store.append(Log.TASKS, new) == first
    assert store.append(Log.TASKS, new[::-1]) == first[::-1]
    assert len(store.read(Log.TASKS, after=0, limit=10).events) == 2


def test_a_partial_repeat_stores_what_was_missing(store: EventStore) -> None:
    new = facts("s", [1, 2])
    (first,) = store.append(Log.TASKS, new[:1])

    positions = store.append(Log.TASKS, new)

    assert positions[0] == first
    assert positions[1] > first
    assert versions(store, "s") == [1, 2]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_lost_race_names_the_place_and_stores_nothing_of_the_call(store: EventStore, place: int) -> None:
    new = facts("s", [1, 2, 3])
    store.append(Log.TASKS, [again(new[place])])

    with pytest.raises(LostRaceError) as lost:
        store.append(Log.TASKS, new)

    assert (lost.value.stream_id, lost.value.version) == ("s", place + 1)
    assert versions(store, "s") == [place + 1]


def test_one_id_in_another_place_is_no_repeat(store: EventStore) -> None:
    new = fact("s", 1)
    store.append(Log.TASKS, [new])

    assert store.append_each(Log.TASKS, [new._replace(event=fact("s", 2).event)])[0].outcome == "stored"


def test_after_a_lost_race_the_transaction_goes_on(store: EventStore) -> None:
    store.append(Log.TASKS, [fact("taken")])

    with store.transaction() as transaction:
        transaction.append(Log.TASKS, [fact("before")])
        with pytest.raises(LostRaceError):
            transaction.append(Log.TASKS, [fact("lost"), fact("taken")])
        transaction.append(Log.LICENSING, [fact("after")])

    assert set(store.load(Log.TASKS, ["before", "lost"])) == {"before"}
    assert set(store.load(Log.LICENSING, ["after"])) == {"after"}


def test_a_transaction_that_raises_keeps_nothing_in_any_log(store: EventStore) -> None:
    def fail() -> None:
        with store.transaction() as transaction:
            for log in Log:
                transaction.append(log, [fact("s")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert all(store.load(log, ["s"]) == {} for log in Log)


def test_each_event_on_its_own_gets_a_verdict_of_its_own(store: EventStore) -> None:
    known, other = fact("known"), fact("other")
    first, _ = store.append(Log.TASKS, [known, other])
    new, twice = fact("new"), fact("twice")

    verdicts = store.append_each(Log.TASKS, [new, again(other), known, twice, twice, again(twice)])

    assert [verdict.outcome for verdict in verdicts] == ["stored", "taken", "repeat", "stored", "repeat", "taken"]
    assert verdicts[2] == Verdict("repeat", first)
    assert verdicts[3].position == verdicts[4].position
    assert verdicts[1].position is verdicts[5].position is None
    assert [row.event for row in store.read(Log.TASKS, after=0, limit=10).events] == [
        each.event for each in (known, other, new, twice)
    ]


def test_the_same_event_twice_in_one_call_is_stored_once(store: EventStore) -> None:
    new = fact("s")

    positions = store.append(Log.TASKS, [new, new])

    assert positions[0] == positions[1]
    assert versions(store, "s") == [1]


def test_of_writers_who_want_one_place_at_once_exactly_one_gets_it(store: EventStore) -> None:
    rounds, together = range(30), Barrier(4)

    def race(_writer: int) -> list[bool]:
        won = []
        for each in rounds:
            together.wait()
            try:
                store.append(Log.TASKS, [fact("s", each + 1)])
            except LostRaceError:
                won.append(False)
            else:
                won.append(True)
        return won

    with ThreadPoolExecutor(4) as writers:
        outcomes = list(writers.map(race, range(4)))

    assert [sum(each) for each in zip(*outcomes, strict=True)] == [1 for _ in rounds]


def test_of_writers_who_say_the_same_at_once_all_are_told_the_same(store: EventStore) -> None:
    new, together = facts("s", range(1, 31)), Barrier(4)

    def tell(_writer: int) -> list[int]:
        return [(together.wait(), store.append(Log.TASKS, [each])[0])[1] for each in new]

    with ThreadPoolExecutor(4) as writers:
        told = list(writers.map(tell, range(4)))

    assert told == [[row.position for row in store.read(Log.TASKS, after=0, limit=100).events]] * 4


@pytest.mark.parametrize("where", ["stream", "correlation_id"])
def test_what_is_too_long_to_be_looked_up_is_refused_before_it_is_sent(store: EventStore, where: str) -> None:
    longest = "".join(map(chr, itertools.islice(itertools.count(0x4E00), 600)))  # 1800 bytes that compress badly
    for text in (longest, longest * 2):
        new = fact(text if where == "stream" else "s")._replace(metadata={where: text})
        if text is longest:
            store.append(Log.LICENSING, [new])
        else:
            with pytest.raises(ValueError, match="bytes"):
                store.append(Log.LICENSING, [new])
