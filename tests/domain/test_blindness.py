from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.blindness import Away, BlindWindow, BlindWindowPassed, patience_over

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENCE = timedelta(minutes=6)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def over(*windows: tuple[float, float]) -> float:
    """Minutes past noon at which patience is over that began at noon."""
    blind = [BlindWindow(at(since), at(until)) for since, until in windows]
    return (patience_over(NOON, PATIENCE, blind) - NOON) / timedelta(minutes=1)


def test_without_blind_windows_it_is_over_when_it_is_over() -> None:
    assert over() == 6


def test_a_window_that_begins_before_it_is_over_puts_it_off_to_the_windows_end_and_patience() -> None:
    assert over((5, 15)) == 21
    assert over((6, 15)) == 21
    assert over((-5, 1)) == 7


def test_a_window_that_begins_after_it_is_over_or_ends_before_the_last_sign_changes_nothing() -> None:
    assert over((6.01, 15)) == 6
    assert over((-5, 0)) == 6


def test_windows_follow_each_other_and_may_overlap_in_any_order() -> None:
    assert over((12, 20), (2, 7)) == 26
    assert over((2, 7), (13.01, 20)) == 13
    assert over((2, 7), (3, 4), (2, 7.5)) == 13.5


minutes = st.integers(-30, 60)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(minutes, minutes).filter(lambda pair: pair[0] < pair[1]), max_size=5), st.integers(-5, 90))
def test_it_is_over_exactly_where_a_stretch_between_windows_is_longer_than_patience(
    windows: list[tuple[int, int]], now: int
) -> None:
    """A minute counts unless it lies in a window; counted from the last sign, and anew after each window."""
    known = [(since, until) for since, until in windows if until <= now]
    silent = longest = 0
    for minute in range(now):
        silent = 0 if any(since <= minute < until for since, until in known) else silent + 1
        longest = max(longest, silent)
    assert (now > over(*known)) == (longest > 6)


def test_a_window_says_since_when_until_when_and_what_was_away() -> None:
    marker = uuid4()
    passed = BlindWindowPassed.between(at(0), at(9), marker_id=marker, away=[Away.DATABASE, Away.BROKER, Away.BROKER])
    assert (passed.since, passed.timestamp) == (at(0), at(9))
    assert passed.away == (Away.BROKER, Away.DATABASE)
    assert passed.originator_id == f"watermark_passed-{marker}"
