from __future__ import annotations

from datetime import timedelta

from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.license import License
from domain.session import Session
from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.rebuild import rebuild
from tests.projections.histories import NOON, at, changes, minted
from tests.projections.world import World

LICENSE = License.issue("l1", valid_until=NOON + timedelta(days=9), at=NOON)


def started(session_id: str = "s1", seconds: float = 0) -> Session:
    patience = timedelta(seconds=60)
    return Session.start(session_id, under=LICENSE, default_patience=patience, at=at(seconds), host="h")


def heartbeats(*seconds: float, session_id: str = "s1") -> HeartbeatsReceived:
    beats = [Heartbeat(session_id, at(moment)) for moment in seconds]
    return HeartbeatsReceived.of(beats, batch_id=minted("batch", session_id, *seconds))


def watermark(seconds: float) -> WatermarkPassed:
    return WatermarkPassed.at(at(seconds), marker_id=minted("marker", seconds))


def session(world: World) -> dict[str, object]:
    world.catch_up("sessions")
    return world.row("select * from analytics.fct_sessions")


def test_a_session_that_started_is_active(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    row = session(world)
    assert (row["state"], row["is_open"], row["license_id"], row["host"]) == ("active", True, "l1", "h")
    assert (row["started_at"], row["patience_seconds"], row["ended_at"]) == (at(0), 60, None)


def test_heartbeats_move_the_last_sign_of_life_and_are_counted_when_they_are_news(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(10, 30, 20), heartbeats(30), heartbeats(25, 40))
    row = session(world)
    assert (row["last_heartbeat_at"], row["heartbeat_count"]) == (at(40), 3)


def test_a_heartbeat_that_is_no_news_to_the_read_model_does_not_count(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30))
    world.catch_up("sessions")
    world.record(Log.HEARTBEATS, heartbeats(10, 20, 30), heartbeats(25, 40))
    row = session(world)
    assert (row["last_heartbeat_at"], row["heartbeat_count"]) == (at(40), 2)


def test_a_heartbeat_that_comes_before_its_session_started_is_kept_and_not_shown(world: World) -> None:
    world.record(Log.HEARTBEATS, heartbeats(10))
    world.catch_up("sessions")
    assert world.rows("select * from analytics.fct_sessions") == []
    world.record(Log.LICENSING, *changes(started()))
    assert session(world)["last_heartbeat_at"] == at(10)


def test_a_lapsed_session_ended_at_its_last_sign_of_life(world: World) -> None:
    lapsed = started()
    lapsed.lapse(last_heartbeat_at=at(30), judged_at=at(100))
    world.record(Log.LICENSING, *changes(lapsed))
    row = session(world)
    assert (row["state"], row["ended_at"], row["lapse_judged_at"], row["lapse_count"]) == ("lapsed", at(30), at(100), 1)


def test_a_session_that_came_back_is_active_and_remembers_its_lapse(world: World) -> None:
    back = started()
    back.lapse(last_heartbeat_at=at(30), judged_at=at(100))
    back.resume(heartbeat_at=at(120), window=timedelta(minutes=10))
    world.record(Log.LICENSING, *changes(back))
    row = session(world)
    assert (row["state"], row["ended_at"], row["resumed_at"], row["lapse_count"]) == ("active", None, at(120), 1)


def test_returns_are_kept_of_the_last_day_wherever_batches_are_cut(world: World) -> None:
    moments = [0, 10, 200, 86_600, 86_601, 90_000]
    world.record(Log.HEARTBEATS, *(heartbeats(moment) for moment in moments))
    world.catch_up("sessions")
    kept = [{"heartbeat_at": at(moment)} for moment in (86_600, 90_000)]
    assert world.rows("select heartbeat_at from read_model.session_returns order by 1") == kept
    rebuild(world.connection, PROJECTIONS["sessions"], store=world.store, batch_events=1)
    assert world.rows("select heartbeat_at from read_model.session_returns order by 1") == kept


def test_a_session_that_ended_says_why(world: World) -> None:
    ended = started()
    ended.end(reason="signed out", at=at(50))
    world.record(Log.LICENSING, *changes(ended))
    row = session(world)
    assert (row["state"], row["ended_at"], row["end_reason"]) == ("ended", at(50), "signed out")
    assert row["session_seconds"] == 50


def test_log_time_is_the_latest_watermark_and_never_goes_back(world: World) -> None:
    world.record(Log.HEARTBEATS, watermark(60), watermark(50))
    world.catch_up("sessions")
    world.record(Log.HEARTBEATS, watermark(55))
    world.catch_up("sessions")
    assert world.row("select log_time from read_model.log_time") == {"log_time": at(60)}


def test_an_active_session_has_lasted_until_log_time(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, watermark(90))
    assert session(world)["session_seconds"] == 90
