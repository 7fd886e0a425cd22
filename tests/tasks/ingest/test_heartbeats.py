from __future__ import annotations

from datetime import timedelta

from domain.heartbeat import Heartbeat, HeartbeatsReceived
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
