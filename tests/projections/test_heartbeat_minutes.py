from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from domain.heartbeat import HeartbeatsReceived
from domain.session import SessionStarted
from infra import database
from infra.event_store import Log
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.heartbeat_minutes import KEPT
from projections.queries import count_heartbeat_minutes
from projections.skipping import skip
from projections.unskipping import unskip
from tests.projections.histories import History, at
from tests.projections.test_sessions import changes, heartbeats, started
from tests.projections.world import World

LONG = timedelta(minutes=5)
Minutes = dict[tuple[str, datetime], tuple[int, float]]


def counted(world: World) -> Minutes:
    rows = world.rows("select * from analytics.fct_heartbeat_minutes")
    return {
        (row["license_id"], row["minute_start_at"]): (row["heartbeat_count"], pytest.approx(row["max_delay_seconds"]))
        for row in rows
    }


def by_hand(world: World) -> Minutes:
    """Heartbeat by heartbeat from the logs, without a read model."""
    skipped = {
        (row["log"], row["position"])
        for row in world.rows("select log, position from analytics.meta_skipped_events where unskipped_at is null")
    }
    licenses = {
        each.event.session_id: each.event.license_id
        for each in world.store.read(Log.LICENSING, after=0, limit=100_000).events
        if isinstance(each.event, SessionStarted)
    }
    found: dict[tuple[str, datetime], list[float]] = defaultdict(list)
    for each in world.store.read(Log.HEARTBEATS, after=0, limit=100_000).events:
        if isinstance(each.event, HeartbeatsReceived) and ("heartbeats", each.position) not in skipped:
            for beat in each.event:
                if beat.session_id in licenses:
                    minute = beat.at.astimezone(UTC).replace(second=0, microsecond=0)
                    found[licenses[beat.session_id], minute].append((each.recorded_at - beat.at).total_seconds())
    return {key: (len(delays), max(delays)) for key, delays in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_minutes_are_what_counting_the_log_by_hand_gives_in_whatever_order_it_is_told(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats come before their session starts, too, and pages are cut anywhere."""
    chance = random.Random(seed)
    monkeypatch.setattr("projections.heartbeat_minutes._PAGE_EVENTS", 3)
    for log, events in History(seed, size=16).chunks():
        world.store.append(log, events)
        match chance.randrange(4):
            case 0:
                world.catch_up("sessions")
            case 1:
                count_heartbeat_minutes(world.psycopg, within=LONG)
    waiting = world.rows(
        "select event_id from event_store.heartbeat_events where name = 'session.heartbeats_received'"
        " and position > coalesce((select max(position) from event_store.checkpoints where follower like 'usage%%'), 0)"
        " limit 2"
    )
    for row in waiting:
        skip(world.store, list(PROJECTIONS.values()), row["event_id"], reason="untrue", by="ada", at=at(0))
    for row in waiting[1:]:
        unskip(world.store, list(PROJECTIONS.values()), row["event_id"], reason="true", by="ada", at=at(1))
    world.catch_up("sessions")
    for _ in range(2):  # the second time there is nothing left
        count_heartbeat_minutes(world.psycopg, within=LONG)
        assert counted(world) == by_hand(world) != {}


def test_who_has_no_time_goes_on_the_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.heartbeat_minutes._PAGE_EVENTS", 1)
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(1), heartbeats(2), heartbeats(61))
    world.catch_up("sessions")
    seen = [count_heartbeat_minutes(world.psycopg, within=timedelta(0)) for _ in range(4)]
    assert seen == [1, 1, 1, 0]
    assert [beats for beats, _ in counted(world).values()] == [2, 1]


def test_several_may_count_at_once(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.heartbeat_minutes._PAGE_EVENTS", 1)
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, *(heartbeats(number) for number in range(30)))
    world.catch_up("sessions")

    def count(_: int) -> int:
        with database.connect(settings, name="count") as connection:
            return count_heartbeat_minutes(connection, within=LONG)

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(count, range(4))) == 30
    assert counted(world) == by_hand(world)


def test_old_minutes_are_let_go(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    long = KEPT.total_seconds()
    world.record(
        Log.HEARTBEATS, heartbeats(0), heartbeats(60), heartbeats(long + 60), heartbeats(5, session_id="nobody")
    )
    world.catch_up("sessions")
    count_heartbeat_minutes(world.psycopg, within=LONG)
    assert [minute for _, minute in sorted(counted(world))] == [at(60), at(long + 60)]
    assert world.rows("select session_id from read_model.heartbeat_minutes_unclaimed") == []


def test_session_days_add_up_to_the_sessions(world: World) -> None:
    for log, events in History(5, size=20).chunks():
        world.store.append(log, events)
    world.catch_up("sessions")
    with world.connection.begin():  # one that lives through two midnights, and one that has no length
        world.psycopg.execute(
            "update read_model.sessions set ended_at = started_at + interval '36 hours', state = 'ended'"
            " where session_id = (select min(session_id) from read_model.sessions where state is not null)"
        )
        world.psycopg.execute(
            "update read_model.sessions set ended_at = started_at, state = 'ended'"
            " where session_id = (select max(session_id) from read_model.sessions where state is not null)"
        )
    rows = world.rows(
        """select s.session_id, s.session_seconds, s.is_open, sum(d.session_seconds) as seconds, count(*) as days,
                  count(*) filter (where is_first_day) as firsts, count(*) filter (where is_last_day) as lasts,
                  max(d.session_seconds) as longest, count(distinct d.day_start_at) as distinct_days
           from analytics.fct_sessions s left join analytics.fct_session_days d using (session_id)
           group by s.session_id, s.session_seconds, s.is_open"""
    )
    assert len(rows) > 10
    for row in rows:
        assert row["seconds"] == pytest.approx(row["session_seconds"])
        assert (row["firsts"], row["lasts"], row["days"]) == (1, 0 if row["is_open"] else 1, row["distinct_days"])
        assert row["longest"] <= 86_400
    assert max(row["days"] for row in rows) > 1
