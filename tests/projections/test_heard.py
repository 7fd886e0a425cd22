from __future__ import annotations

import pytest

from domain.aggregate import Event
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from infra.event_store import Recorded
from projections.heard import Beat, hear
from projections.moments import NEVER, microseconds
from tests.projections.histories import at, minted


def us(seconds: float) -> int:
    return microseconds(at(seconds))


def batch(*beats: tuple[str, float]) -> HeartbeatsReceived:
    return HeartbeatsReceived.of([Heartbeat(session, at(seconds)) for session, seconds in beats], batch_id=minted("b"))


def page(*events: tuple[Event, float]) -> list[Recorded]:
    """Events, each with when it was recorded."""
    return [Recorded(number, event, minted(number), {}, at(when)) for number, (event, when) in enumerate(events)]


def test_sessions_heard_of_once_come_in_columns_and_the_others_with_every_heartbeat() -> None:
    heard = hear(
        page((batch(("a", 1), ("b", 5), ("c", 7)), 10), (batch(("b", 6), ("d", 3)), 11), (batch(("b", 2)), 12)),
        log_time=NEVER,
    )
    assert heard.session_ids == ["a", "c", "d"]
    assert heard.at == [us(1), us(7), us(3)]
    assert heard.recorded_at == [us(10), us(10), us(11)]
    assert heard.folded == {"b": [Beat(us(5), NEVER, us(10)), Beat(us(6), NEVER, us(11)), Beat(us(2), NEVER, us(12))]}


def test_a_session_may_come_twice_in_one_batch() -> None:
    heard = hear(page((batch(("a", 1), ("b", 2), ("a", 3)), 5)), log_time=NEVER)
    assert heard.session_ids == ["b"]
    assert [beat.at for beat in heard.folded["a"]] == [us(1), us(3)]


def test_log_time_is_that_of_the_latest_watermark_before_a_heartbeat() -> None:
    watermarks = [WatermarkPassed.at(at(seconds), marker_id=minted(seconds)) for seconds in (8, 4)]
    told = page(
        (batch(("a", 1)), 0), (watermarks[0], 0), (batch(("b", 1)), 0), (watermarks[1], 0), (batch(("c", 1)), 0)
    )
    assert hear(told, log_time=us(2)).log_times == [us(2), us(8), us(8)]


def test_a_batch_with_more_sessions_than_times_is_refused() -> None:
    odd = HeartbeatsReceived(
        originator_id="heartbeats-x", originator_version=1, timestamp=at(0), session_ids=("a", "b"), offsets_ms=(0,)
    )
    with pytest.raises(ValueError, match="heartbeats-x has 2 sessions and 1 times"):
        hear(page((odd, 0)), log_time=NEVER)


def test_one_that_is_late_or_from_the_future_is_among_the_others() -> None:
    beats = [Heartbeat("on-time", at(40)), Heartbeat("late", at(39)), Heartbeat("ahead", at(100), ahead_ms=5000)]
    received = HeartbeatsReceived.of(beats, batch_id=minted("b"))
    heard = hear(page((received, 100)), log_time=us(100))
    assert heard.session_ids == ["on-time"]
    assert heard.folded == {
        "late": [Beat(us(39), us(100), us(100))],
        "ahead": [Beat(us(100), us(100), us(100), 5_000_000)],
    }


def test_one_that_is_folded_alone_is_folded_with_those_that_follow() -> None:
    heard = hear(page((batch(("a", 1)), 100), (batch(("a", 99)), 101)), log_time=us(100))
    assert heard.session_ids == []
    assert [beat.at for beat in heard.folded["a"]] == [us(1), us(99)]
