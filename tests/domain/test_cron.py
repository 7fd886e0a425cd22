"""Slots of cron expressions against a model that looks at every minute, on the days on which clocks change too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.cron import CronInvalid, check_cron, cron_slots

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
# The clocks of both places are put forward and back within a day of these; the last has a leap day.
WEEKS = [
    (BERLIN, datetime(2027, 3, 27, tzinfo=UTC)),
    (BERLIN, datetime(2027, 10, 30, tzinfo=UTC)),
    (NEW_YORK, datetime(2027, 3, 13, tzinfo=UTC)),
    (NEW_YORK, datetime(2027, 11, 6, tzinfo=UTC)),
    (BERLIN, datetime(2028, 2, 28, tzinfo=UTC)),
]
DAYS = 3


def between(expression: str, zone: str, after: datetime, upto: datetime) -> list[datetime]:
    return list(takewhile(lambda slot: slot <= upto, cron_slots(expression, zone, after=after)))


def local(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def modeled(
    fits_minute: Callable[[int], bool], fits_hour: Callable[[int], bool], *, fixed: bool, zone: str, start: datetime
) -> list[datetime]:
    """Every minute that fits: of real time, or, where the time of day is fixed, of the clock's face."""
    tz, found = ZoneInfo(zone), []
    for minute in range(DAYS * 24 * 60):
        if fixed:
            shown = start.astimezone(tz).replace(tzinfo=None) + timedelta(minutes=minute)
            moment = first_shown(shown, tz)
        else:
            moment = start + timedelta(minutes=minute)
            shown = moment.astimezone(tz)
        if fits_minute(shown.minute) and fits_hour(shown.hour):
            found.append(moment)
    return sorted(set(found))


def first_shown(face: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which a clock shows ``face``, or, where it is left out, what comes after it."""
    while (moment := face.replace(tzinfo=zone).astimezone(UTC)).astimezone(zone).replace(tzinfo=None) != face:
        face += timedelta(minutes=1)
    return moment


@settings(max_examples=30, deadline=None)
@given(
    place=st.sampled_from(WEEKS),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.sets(st.integers(0, 4), min_size=1, max_size=3),
)
def test_a_fixed_time_of_day_comes_once_on_every_day(
    place: tuple[str, datetime], minutes: set[int], hours: set[int]
) -> None:
    zone, start = place
    expression = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    found = between(expression, zone, start - timedelta(seconds=1), start + timedelta(days=DAYS - 1))
    wanted = modeled(minutes.__contains__, hours.__contains__, fixed=True, zone=zone, start=start)
    assert found == [slot for slot in wanted if start <= slot <= start + timedelta(days=DAYS - 1)]


@settings(max_examples=30, deadline=None)
@given(place=st.sampled_from(WEEKS), step=st.sampled_from([1, 5, 15, 20, 30]), hour=st.integers(0, 4) | st.none())
def test_what_has_a_star_goes_by_real_time(place: tuple[str, datetime], step: int, hour: int | None) -> None:
    zone, start = place
    expression = f"*/{step} {'*' if hour is None else hour} * * *"
    found = between(expression, zone, start - timedelta(seconds=1), start + timedelta(days=DAYS - 1))
    wanted = modeled(
        lambda minute: minute % step == 0,
        lambda shown: hour is None or shown == hour,
        fixed=False,
        zone=zone,
        start=start,
    )
    assert found == [slot for slot in wanted if start <= slot <= start + timedelta(days=DAYS - 1)]


@settings(max_examples=30, deadline=None)
@given(
    place=st.sampled_from(WEEKS),
    expression=st.sampled_from(["30 2 * * *", "0,30 1-3 * * *", "*/20 * * * *", "15 */2 * * *", "5 * * * *"]),
    cut_minutes=st.integers(0, (DAYS - 1) * 24 * 60),
)
def test_wherever_a_stretch_is_cut_its_halves_have_the_slots_of_the_whole(
    place: tuple[str, datetime], expression: str, cut_minutes: int
) -> None:
    zone, start = place
    cut, end = start + timedelta(minutes=cut_minutes), start + timedelta(days=DAYS)
    halves = between(expression, zone, start, cut) + between(expression, zone, cut, end)
    assert halves == between(expression, zone, start, end)


@pytest.mark.parametrize(
    ("zone", "day_before", "comes"),
    [
        (BERLIN, "2027-03-27T12:00", ["2027-03-28T03:00", "2027-03-29T02:30"]),
        (BERLIN, "2027-10-30T12:00", ["2027-10-31T02:30", "2027-11-01T02:30"]),
        (NEW_YORK, "2027-03-13T12:00", ["2027-03-14T03:00", "2027-03-15T02:30"]),
        (NEW_YORK, "2027-11-06T12:00", ["2027-11-07T02:30", "2027-11-08T02:30"]),
    ],
)
def test_half_past_two_comes_once_on_the_days_on_which_clocks_change(
    zone: str, day_before: str, comes: list[str]
) -> None:
    found = cron_slots("30 2 * * *", zone, after=local(day_before, zone))
    assert [next(found), next(found)] == [local(each, zone) for each in comes]


def test_the_hour_that_there_is_twice_has_no_fixed_slot_the_second_time() -> None:
    second = local("2027-10-31T02:10", BERLIN, fold=1)
    assert next(cron_slots("30 2 * * *", BERLIN, after=second)) == local("2027-11-01T02:30", BERLIN)


def test_a_leap_day_comes_every_four_years() -> None:
    found = cron_slots("0 12 29 2 *", "UTC", after=datetime(2026, 1, 1, tzinfo=UTC))
    assert [next(found).year for _ in range(3)] == [2028, 2032, 2036]


def test_a_shorthand_is_what_it_stands_for() -> None:
    after = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    assert next(cron_slots("@daily", BERLIN, after=after)) == next(cron_slots("0 0 * * *", BERLIN, after=after))


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "0 0 * * * *", "61 * * * *", "* 24 * * *", "0 0 31 2 *", "@often", "x * * * *", "*/0 * * * *"],
)
def test_what_is_no_cron_expression_is_refused_with_what_is_allowed(expression: str) -> None:
    with pytest.raises(CronInvalid, match="allowed are five fields"):
        check_cron(expression, "UTC")


@pytest.mark.parametrize("zone", ["", "Europe/Atlantis", "CEST+1x", "../etc/passwd", "Europe"])
def test_what_is_no_time_zone_is_refused_with_what_is_allowed(zone: str) -> None:
    with pytest.raises(CronInvalid, match="names of the IANA database"):
        check_cron("* * * * *", zone)
