from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest

from infra import database
from infra.settings import Settings
from projections.queries import UsageCounts, aggregate_usage
from tests.projections.histories import NOON, at
from tests.projections.world import World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Usage = dict[tuple[str, datetime], tuple[int, Decimal, int]]


class Lived(NamedTuple):
    license_id: str
    started_at: datetime
    ended_at: datetime | None


def keep(world: World, sessions: list[Lived], *, log_time: datetime | None) -> None:
    with world.connection.begin(), world.psycopg.cursor() as cursor:
        cursor.execute("delete from read_model.sessions")
        cursor.executemany(
            """insert into read_model.sessions (session_id, license_id, state, started_at, ended_at)
               values (%s, %s, case when %s::timestamptz is null then 'active' else 'ended' end, %s, %s)""",
            [
                (str(number), lived.license_id, lived.ended_at, lived.started_at, lived.ended_at)
                for number, lived in enumerate(sessions)
            ],
        )
        cursor.execute("delete from read_model.log_time")
        if log_time is not None:
            cursor.execute("insert into read_model.log_time (log_time) values (%s)", (log_time,))


def computed(world: World, table: str, bucket: str) -> Usage:
    rows = world.rows(f"select * from read_model.{table}")  # noqa: S608  one of two names
    return {
        (row["license_id"], row[bucket]): (row["sessions"], row["session_seconds"], row["peak_concurrent_sessions"])
        for row in rows
    }


def by_hand(
    sessions: list[Lived], log_time: datetime | None, width: timedelta, since: datetime, until: datetime
) -> Usage:
    """Session by session, bucket by bucket, instant by instant."""
    intervals: dict[tuple[str, datetime], list[tuple[datetime, datetime]]] = defaultdict(list)
    for lived in sessions:
        begins = lived.started_at
        ends = max(begins, lived.ended_at or log_time or begins)
        bucket = begins - (begins - EPOCH) % width
        while bucket < ends or bucket <= begins:
            if since <= bucket < until:
                piece = max(begins, bucket), min(ends, bucket + width)
                intervals[lived.license_id, bucket].append(piece)
            bucket += width
    return {
        key: (
            len(pieces),
            sum((Decimal((ends - begins) // timedelta(microseconds=1)) for begins, ends in pieces), Decimal())
            / 1_000_000,
            max(sum(begins <= instant < ends for begins, ends in pieces) for instant, _ in pieces),
        )
        for key, pieces in intervals.items()
    }


def random_sessions(chance: random.Random) -> list[Lived]:
    found = []
    for _ in range(chance.randint(0, 40)):
        # Few distinct moments, many of them on the hour, so that ends meet beginnings and sessions have no length.
        begins = NOON + timedelta(minutes=30 * chance.randint(0, 150), microseconds=chance.choice([0, 0, 1, 999_999]))
        length = timedelta(minutes=30 * chance.choice([0, 1, 1, 2, 3, 50, 120]))
        found.append(Lived(chance.choice("ab"), begins, chance.choice([None, begins + length, begins + length])))
    return found


@pytest.mark.parametrize("seed", range(25))
def test_usage_is_what_counting_by_hand_gives(world: World, seed: int) -> None:
    chance = random.Random(seed)
    log_time = chance.choice([None, at(chance.randint(-100, 90 * 3600))])
    since = NOON + timedelta(hours=chance.randint(-2, 40))
    until = since + timedelta(hours=chance.randint(1, 90))
    for _ in range(2):  # the second time over what the first one left
        sessions = random_sessions(chance)
        keep(world, sessions, log_time=log_time)
        counts = aggregate_usage(world.psycopg, since=since, until=until)
        hours = by_hand(sessions, log_time, HOUR, since, until)
        day_since = since - (since - EPOCH) % DAY
        day_until = until + (EPOCH - until) % DAY
        days = by_hand(sessions, log_time, DAY, day_since, day_until)
        assert computed(world, "usage_hourly", "hour_start_at") == hours
        assert computed(world, "usage_daily", "day_start_at") == days
        assert counts == UsageCounts(len(hours), len(days))


def test_hours_that_were_not_asked_for_stay_as_they_are(world: World) -> None:
    keep(world, [Lived("a", at(0), at(3600 * 5))], log_time=None)
    aggregate_usage(world.psycopg, since=at(0), until=at(3600 * 5))
    keep(world, [], log_time=None)
    assert aggregate_usage(world.psycopg, since=at(3600), until=at(3600 * 2)) == UsageCounts(0, 0)
    hours = sorted(hour for _, hour in computed(world, "usage_hourly", "hour_start_at"))
    assert hours == [at(0), at(3600 * 2), at(3600 * 3), at(3600 * 4)]


def test_an_hour_that_is_touched_is_computed_whole(world: World) -> None:
    keep(world, [Lived("a", at(0), at(3600))], log_time=None)
    aggregate_usage(world.psycopg, since=at(1800), until=at(1801))
    assert computed(world, "usage_hourly", "hour_start_at") == {("a", at(0)): (1, Decimal(3600), 1)}


def test_a_day_is_a_day_in_utc_whatever_the_clock_of_the_session_shows(world: World, settings: Settings) -> None:
    keep(world, [Lived("a", at(0), at(3600 * 48))], log_time=None)
    with database.connect(settings, name="berlin") as connection:
        connection.execute("set timezone = 'Europe/Berlin'")
        aggregate_usage(connection, since=NOON, until=NOON + 2 * DAY)
    found = computed(world, "usage_daily", "day_start_at")
    assert {day.astimezone(UTC).hour for _, day in found} == {0}
    assert [usage[1] for usage in found.values()] == [43_200, 86_400, 43_200]


def test_usage_is_shown_in_the_views(world: World) -> None:
    keep(world, [Lived("a", at(0), at(90)), Lived("a", at(60), at(90))], log_time=None)
    aggregate_usage(world.psycopg, since=at(0), until=at(1))
    row = world.row("select session_count, session_seconds, peak_concurrent_sessions from analytics.usage_hourly")
    assert row == {"session_count": 2, "session_seconds": 120, "peak_concurrent_sessions": 2}
