"""What analysts see of lapses: each one, whether its session came back, and what that means for seats."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.heartbeat import WatermarkPassed
from domain.license import License
from domain.license_policy import LicensePolicy, OnLapse, Resurrection
from domain.session import Session, Silence
from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.queries import aggregate_usage
from projections.rebuild import rebuild
from projections.skipping import skip
from tests.projections.histories import at, changes, minted
from tests.projections.world import World

PATIENCE = timedelta(minutes=6)


def license_of_one_seat(rule: OnLapse = OnLapse.END) -> License:
    policy = LicensePolicy(on_lapse=rule, resurrection=Resurrection.ALWAYS)
    return License.issue("l1", valid_until=at(86_400), at=at(0), seats=1, policy=policy)


def napping(under: License) -> Session:
    """One that lapses twice and comes back once, in the hour that begins at noon."""
    session = Session.start("naps", under=under, default_patience=PATIENCE, at=at(60))
    session.lapse(Silence(at(1000), last_heartbeat_at=at(600)))
    session.resume(heartbeat_at=at(1500))
    session.lapse(Silence(at(3000), last_heartbeat_at=at(1800)))
    return session


def between(under: License) -> Session:
    """One that has the seat while the other one naps."""
    session = Session.start("between", under=under, default_patience=PATIENCE, at=at(1100))
    session.end(reason="signed out", at=at(1400))
    return session


def test_each_lapse_is_listed_with_its_return(world: World) -> None:
    world.record(Log.LICENSING, *changes(napping(license_of_one_seat())))
    world.catch_up("sessions", "session_lapses")
    rows = world.rows("select * from analytics.fct_session_lapses order by version")
    assert all(row.pop("recorded_at") is not None for row in rows)
    common = {"session_id": "naps", "license_id": "l1", "has_given_seat_back": True}
    assert rows == [
        {
            **common,
            "version": 2,
            "alive_since_at": at(60),
            "lapsed_at": at(600),
            "alive_seconds": 540,
            "patience_over_at": at(960),
            "judged_at": at(1000),
            "is_resumed": True,
            "resumed_at": at(1500),
            "away_seconds": 900,
        },
        {
            **common,
            "version": 4,
            "alive_since_at": at(1500),
            "lapsed_at": at(1800),
            "alive_seconds": 300,
            "patience_over_at": at(2160),
            "judged_at": at(3000),
            "is_resumed": False,
            "resumed_at": None,
            "away_seconds": None,
        },
    ]


def test_a_lapse_that_is_skipped_was_none(world: World) -> None:
    world.record(Log.LICENSING, *changes(napping(license_of_one_seat())))
    world.catch_up("sessions", "session_lapses")
    (first, _) = world.rows(
        "select event_id from event_store.licensing_events where name like '%%lapsed' order by version"
    )
    skip(world.store, list(PROJECTIONS.values()), first["event_id"], reason="untrue", by="ada", at=at(0))
    for name in ("sessions", "session_lapses"):
        rebuild(world.connection, PROJECTIONS[name], store=world.store, batch_events=100)
    rows = world.rows("select version, alive_since_at from analytics.fct_session_lapses")
    assert rows == [{"version": 4, "alive_since_at": at(1500)}]


@pytest.mark.parametrize(("rule", "seats"), [(OnLapse.END, 1), (OnLapse.KEEP, 2)])
def test_a_seat_that_two_had_in_turn_is_one_seat(world: World, rule: OnLapse, seats: int) -> None:
    under = license_of_one_seat(rule)
    world.record(Log.LICENSING, *changes(napping(under)), *changes(between(under)))
    world.record(Log.HEARTBEATS, WatermarkPassed.at(at(3000), marker_id=minted("w")))
    for names in (("sessions", "session_lapses"), ("session_lapses", "sessions")):
        world.catch_up(*names)
        aggregate_usage(world.psycopg)
        for view in ("usage_hourly", "usage_daily"):
            row = world.row(f"select peak_seats_taken, peak_concurrent_sessions from analytics.{view}")  # noqa: S608
            assert row == {"peak_seats_taken": seats, "peak_concurrent_sessions": 2}
        for name in names:
            rebuild(world.connection, PROJECTIONS[name], store=world.store, batch_events=1)


def test_a_lapse_that_comes_to_be_known_after_usage_was_counted_is_counted_the_next_time(world: World) -> None:
    under = license_of_one_seat()
    world.record(Log.LICENSING, *changes(napping(under)), *changes(between(under)))
    world.catch_up("sessions")
    peaks = []
    for more in ((), ("session_lapses",)):
        if more:
            world.catch_up(*more)
        aggregate_usage(world.psycopg)
        peaks.append(world.row("select peak_seats_taken from analytics.usage_hourly")["peak_seats_taken"])
    assert peaks == [2, 1]
