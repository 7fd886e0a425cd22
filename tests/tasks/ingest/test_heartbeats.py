from __future__ import annotations

from datetime import timedelta

from domain.heartbeat import LARGEST_BATCH, Heartbeat, HeartbeatsReceived
from tasks.ingest.heartbeats import packed
from tests.tasks.ingest.deliveries import NOW

BEATS = [Heartbeat(f"S{n}", NOW + timedelta(milliseconds=n)) for n in range(100)]


def test_a_batch_becomes_one_event_that_holds_them_all() -> None:
    (new,) = packed(BEATS)
    assert isinstance(new.event, HeartbeatsReceived)
    assert list(new.event) == BEATS


def test_no_heartbeats_are_no_event() -> None:
    assert packed([]) == []


def test_exactly_the_same_batch_is_the_same_event_in_the_same_place() -> None:
    (first,), (again,), (other,) = packed(BEATS), packed(list(BEATS)), packed(BEATS[1:])
    assert (first.event_id, first.event.originator_id) == (again.event_id, again.event.originator_id)
    assert first.event_id != other.event_id


def test_more_heartbeats_than_one_event_may_hold_make_several() -> None:
    beats = [Heartbeat(f"s{number}", BEATS[0].at) for number in range(LARGEST_BATCH + 1)]
    first, second = packed(beats)
    assert isinstance(first.event, HeartbeatsReceived)
    assert isinstance(second.event, HeartbeatsReceived)
    assert [*first.event, *second.event] == beats
    assert first.event_id != second.event_id
