from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

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


def test_a_batch_is_named_by_the_time_of_its_earliest_heartbeat_and_by_what_is_in_it() -> None:
    beats = [*BEATS[3:], BEATS[1]]
    (new,) = packed(beats)
    batch_id = UUID(new.event.originator_id.removeprefix("heartbeat_batch-"))
    assert batch_id.version == 7
    assert batch_id.int >> 80 == int(BEATS[1].at.timestamp() * 1000)
    (other,) = packed([*BEATS[4:], BEATS[1]])
    until = len("heartbeat_batch-019ac2f1-8c00")
    assert other.event.originator_id[:until] == new.event.originator_id[:until]
    assert other.event.originator_id != new.event.originator_id


def test_heartbeats_of_two_months_are_never_in_one_event() -> None:
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    early, late = (Heartbeat("s", midnight - timedelta(microseconds=1)), Heartbeat("t", midnight))
    told = [late, early, Heartbeat("wrong clock", datetime(1970, 1, 1, tzinfo=UTC)), late._replace(session_id="u")]
    found = [list(new.event) for new in packed(told) if isinstance(new.event, HeartbeatsReceived)]
    assert [[beat.session_id for beat in event] for event in found] == [["t", "u"], ["s"], ["wrong clock"]]
    assert [new.event_id for new in packed(told)] == [new.event_id for new in packed(list(told))]


def test_a_month_is_one_of_utc_wherever_the_sender_lives() -> None:
    east = timezone(timedelta(hours=14))
    beats = [
        Heartbeat("s", datetime(2026, 12, 1, 3, tzinfo=east)),
        Heartbeat("t", datetime(2026, 11, 30, 13, tzinfo=UTC)),
    ]
    assert len(packed(beats)) == 1
