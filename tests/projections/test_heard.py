from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from infra.event_store import Recorded
from projections.heard import Beat, Standing, hear, stand
from projections.moments import NEVER, microseconds
from projections.returns import SILENCE
from tests.projections.histories import at, minted

SILENCE_SECONDS = int(SILENCE.total_seconds())


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
    assert heard.repeated == {"b": [Beat(us(5), NEVER, us(10)), Beat(us(6), NEVER, us(11)), Beat(us(2), NEVER, us(12))]}


def test_a_session_may_come_twice_in_one_batch() -> None:
    heard = hear(page((batch(("a", 1), ("b", 2), ("a", 3)), 5)), log_time=NEVER)
    assert heard.session_ids == ["b"]
    assert [beat.at for beat in heard.repeated["a"]] == [us(1), us(3)]


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


def test_a_heartbeat_is_a_sign_of_life_when_it_is_recorded_news_or_not() -> None:
    beats = [Beat(us(9), NEVER, us(20)), Beat(us(2), NEVER, us(21))]
    assert stand(beats, last=None) == Standing(us(9), news=1, returns=[us(9)], heard_at=us(21))


BEATS = st.lists(
    st.tuples(st.integers(0, 4 * SILENCE_SECONDS), st.integers(0, 4 * SILENCE_SECONDS)), min_size=1, max_size=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(beats=BEATS, cuts=st.sets(st.integers(1, 5)), last=st.none() | st.integers(0, 4 * SILENCE_SECONDS))
def test_where_a_page_ends_makes_no_difference(
    beats: Sequence[tuple[int, int]], cuts: set[int], last: int | None
) -> None:
    told = [Beat(us(seconds), us(log_time), us(0)) for seconds, log_time in beats]
    known = None if last is None else us(last)
    whole = stand(told, last=known)
    news, returns, stood = 0, list[int](), known
    for first, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(told)], strict=True):
        if part := told[first:end]:
            step = stand(part, last=stood)
            news, returns, stood = news + step.news, returns + step.returns, step.last
    assert (stood, news, returns) == (whole.last, whole.news, whole.returns)
