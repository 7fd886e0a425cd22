from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timetable import Cron, Interval, Once, Timetable, TimetableInvalid, latest_slot, next_slot, slots

START = datetime(2027, 10, 30, tzinfo=UTC)
MOMENTS = st.integers(0, 3 * 86_400_000).map(lambda milliseconds: START + timedelta(milliseconds=milliseconds))
TIMETABLES: st.SearchStrategy[Timetable] = st.one_of(
    st.builds(Interval, st.sampled_from([0.25, 1.0, 7.0, 3600.0]), MOMENTS),
    st.builds(Once, MOMENTS),
    st.sampled_from(
        [Cron("*/10 * * * *"), Cron("30 2 * * *", "Europe/Berlin"), Cron("0 12 1 * *", "America/New_York")]
    ),
)


@given(timetable=TIMETABLES, after=MOMENTS, seconds=st.integers(0, 7200))
def test_the_latest_slot_of_a_stretch_is_the_last_of_its_slots(
    timetable: Timetable, after: datetime, seconds: int
) -> None:
    upto = after + timedelta(seconds=seconds)
    every = list(slots(timetable, after=after, upto=upto))
    assert every == sorted(set(every))
    assert latest_slot(timetable, after=after, upto=upto) == (every[-1] if every else None)


@given(every=st.sampled_from([0.5, 1.0, 60.0, 86_400.0]), anchor=MOMENTS, moment=MOMENTS)
def test_slots_of_an_interval_are_whole_numbers_of_it_from_its_anchor(
    every: float, anchor: datetime, moment: datetime
) -> None:
    slot = next_slot(Interval(every, anchor), moment)
    assert slot is not None
    assert moment < slot <= moment + timedelta(seconds=every)
    assert (slot - anchor) % timedelta(seconds=every) == timedelta(0)


def test_the_latest_slot_of_a_rare_cron_schedule_is_found_however_long_ago() -> None:
    leap_days = Cron("0 0 29 2 *")
    assert latest_slot(leap_days, after=datetime(2001, 1, 1, tzinfo=UTC), upto=START) == datetime(
        2024, 2, 29, tzinfo=UTC
    )


def test_what_comes_once_has_no_slot_afterwards() -> None:
    once = Once(START)
    assert next_slot(once, START - timedelta(days=20_000)) == START
    assert next_slot(once, START) is None


@pytest.mark.parametrize(
    "timetable", [Interval(60.0), Interval(1.5, START), Once(START), Cron("* * * * *", "Asia/Tokyo")]
)
def test_a_timetable_is_stored_with_its_kind_and_read_again(timetable: Timetable) -> None:
    stored = msgspec.json.encode(timetable)
    assert b'"kind":' in stored
    assert msgspec.json.decode(stored, type=Timetable) == timetable


@pytest.mark.parametrize(
    "timetable",
    [
        *(Interval(seconds) for seconds in (0, -1, 0.001, 0.999, 4e7, 8.64e15, float("inf"), float("nan"))),
        *(Once(datetime(2027, 1, 1)), Once(datetime(9999, 1, 1, tzinfo=UTC))),  # noqa: DTZ001
    ],
)
def test_what_nothing_can_go_by_is_refused(timetable: Interval | Once) -> None:
    with pytest.raises(TimetableInvalid):
        timetable.check()
