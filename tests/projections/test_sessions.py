from __future__ import annotations

from datetime import timedelta
from typing import Any

from domain.blindness import Away, BlindWindowPassed
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.license import License
from domain.license_policy import LicensePolicy, OnLapse, Resurrection
from domain.session import Session, Silence
from infra.event_store import Log
from tests.projections.histories import NOON, at, changes, minted
from tests.projections.world import World

LICENSE = License.issue("l1", valid_until=NOON + timedelta(days=9), at=NOON)


def started(session_id: str = "s1", seconds: float = 0) -> Session:
    patience = timedelta(seconds=60)
    return Session.start(session_id, under=LICENSE, default_patience=patience, at=at(seconds), host="h")


def ruled(session_id: str = "s1", **rules: Any) -> Session:
    """A session started at noon whose patience is a minute, under other rules as given."""
    policy = LicensePolicy(patience_seconds=60, **rules)
    held = License.issue("l1", valid_until=NOON + timedelta(days=365), at=NOON, policy=policy)
    return Session.start(session_id, under=held, default_patience=timedelta(0), at=NOON)


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
    lapsed.lapse(Silence(at(100), last_heartbeat_at=at(30)))
    world.record(Log.LICENSING, *changes(lapsed))
    row = session(world)
    assert (row["state"], row["ended_at"], row["lapse_judged_at"], row["lapse_count"]) == ("lapsed", at(30), at(100), 1)


def test_a_session_that_came_back_is_active_and_remembers_its_lapse(world: World) -> None:
    back = started()
    back.lapse(Silence(at(100), last_heartbeat_at=at(30)))
    back.resume(heartbeat_at=at(120))
    world.record(Log.LICENSING, *changes(back))
    row = session(world)
    assert (row["state"], row["ended_at"], row["resumed_at"], row["lapse_count"]) == ("active", None, at(120), 1)


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


def test_a_lapsed_session_whose_rules_keep_it_has_not_ended_and_holds_its_seat(world: World) -> None:
    kept = ruled("kept", on_lapse=OnLapse.KEEP)
    ended = ruled("ended", on_lapse=OnLapse.END)
    for each in (kept, ended):
        each.lapse(Silence(at(100), last_heartbeat_at=at(30)))
        world.record(Log.LICENSING, *changes(each))
    world.record(Log.HEARTBEATS, watermark(500))
    world.catch_up("sessions")
    question = """
        select session_id, state, ended_at, lapsed_at, patience_over_at, is_holding_seat, session_seconds
        from analytics.fct_sessions order by 1
    """
    assert [tuple(row.values()) for row in world.rows(question)] == [
        ("ended", "lapsed", at(30), at(30), at(90), False, 30),
        ("kept", "lapsed", None, at(30), at(90), True, 500),
    ]


def test_a_session_shows_the_rules_it_started_under_and_who_ended_it(world: World) -> None:
    ended = ruled(name="gold", heartbeat_interval_seconds=20, resurrection=Resurrection.NEVER)
    ended.end(reason="license moved", at=at(50))
    world.record(Log.LICENSING, *changes(ended), actor="desk")
    row = session(world)
    assert (row["policy"], row["heartbeat_interval_seconds"], row["resurrection"]) == ("gold", 20, "never")
    assert (row["monitoring_starts"], row["on_lapse"], row["patience_seconds"]) == ("creation", "end", 60)
    assert (row["ended_by"], row["end_reason"]) == ("desk", "license moved")


def outcomes(world: World) -> dict[tuple[object, object], object]:
    world.catch_up("sessions")
    question = "select session_id, outcome, heartbeat_count from analytics.fct_heartbeat_outcomes"
    return {(row["session_id"], row["outcome"]): row["heartbeat_count"] for row in world.rows(question)}


def story(world: World) -> None:
    """Heartbeats of every kind; each batch is recorded a second after its newest heartbeat."""
    ended = started("s1")
    ended.end(reason="signed out", at=at(105))
    world.record(Log.LICENSING, *changes(ended))
    told = [
        heartbeats(10),
        heartbeats(10, 5),
        watermark(99),
        heartbeats(30),
        HeartbeatsReceived.of([Heartbeat("s1", at(104), ahead_ms=7000)], batch_id=minted("ahead")),
        heartbeats(120),
        heartbeats(11, session_id="nobody"),
    ]
    world.record(Log.HEARTBEATS, *told)
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute("update event_store.heartbeat_events set recorded_at = occurred_at + interval '1 s'")


def test_every_heartbeat_has_an_outcome(world: World) -> None:
    story(world)
    assert outcomes(world) == {
        ("s1", "counted"): 2,  # at 10 and 120
        ("s1", "late"): 1,  # at 30, when log time was 99
        ("s1", "future"): 1,
        ("s1", "repeated"): 1,
        ("s1", "out_of_order"): 1,
        ("s1", "ended_session"): None,  # at 120
        ("nobody", "unknown_session"): 1,
    }


def test_every_heartbeat_of_a_session_can_be_listed_with_its_outcome(world: World) -> None:
    story(world)
    world.catch_up("sessions")
    question = "select occurred_at, claimed_at, outcome from analytics.heartbeats_of('s1', %(since)s, %(until)s)"
    rows = world.rows(question, since=at(0), until=at(500))
    assert [tuple(row.values()) for row in rows] == [
        (at(10), at(10), "counted"),
        (at(10), at(10), "repeated"),
        (at(5), at(5), "out_of_order"),
        (at(30), at(30), "late"),
        (at(104), at(111), "future"),
        (at(120), at(120), "ended_session"),
    ]
    stranger = world.rows(question.replace("s1", "nobody"), since=at(0), until=at(500))
    assert [row["outcome"] for row in stranger] == ["unknown_session"]


def test_heartbeats_after_a_lapse_that_nothing_undid_are_told_as_such(world: World) -> None:
    lapsed, back = started("s1"), started("s2")
    for session in (lapsed, back):
        session.lapse(Silence(at(1000), last_heartbeat_at=at(30)))
    back.resume(heartbeat_at=at(120))
    world.record(Log.LICENSING, *changes(lapsed), *changes(back))
    for moment in (30, 120, 121):
        beats = [Heartbeat(name, at(moment)) for name in ("s1", "s2")]
        world.record(Log.HEARTBEATS, HeartbeatsReceived.of(beats, batch_id=minted("batch", moment)))
    assert outcomes(world) == {("s1", "counted"): 3, ("s1", "lapsed_session"): None, ("s2", "counted"): 3}
    for name, told in (("s1", ["counted", "lapsed_session", "lapsed_session"]), ("s2", ["counted"] * 3)):
        rows = world.rows(f"select outcome from analytics.heartbeats_of('{name}', '-infinity', 'infinity')")  # noqa: S608
        assert [row["outcome"] for row in rows] == told


def test_the_skew_of_a_clock_is_the_shortest_delay_of_its_heartbeats(world: World) -> None:
    world.record(Log.LICENSING, *changes(started("behind")), *changes(started("ahead")))
    for moment, (delay, ahead) in zip((10, 20, 30), ((9, 3000), (4, 5000), (6, 4000)), strict=True):
        beats = [Heartbeat("behind", at(moment)), Heartbeat("ahead", at(moment + delay), ahead_ms=ahead)]
        world.record(Log.HEARTBEATS, HeartbeatsReceived.of(beats, batch_id=minted("batch", moment)))
        world.heard(at(moment + delay))
        world.catch_up("sessions")
    question = "select session_id, clock_skew_seconds, last_delay_seconds from analytics.fct_sessions order by 1"
    assert [tuple(row.values()) for row in world.rows(question)] == [("ahead", -5.0, -4.0), ("behind", 4.0, 6.0)]


def test_a_blind_window_shows_since_when_until_when_and_what_was_away(world: World) -> None:
    windows = [
        BlindWindowPassed.between(at(0), at(60), marker_id=minted("m1"), away=[Away.BROKER, Away.INGEST]),
        BlindWindowPassed.between(None, at(-5), marker_id=minted("m2")),
        BlindWindowPassed.between(at(0), at(61), marker_id=minted("m3"), away=[Away.INGEST]),
    ]
    world.record(Log.HEARTBEATS, *windows)
    world.catch_up("sessions")
    question = "select since_at, until_at, blind_seconds, away from analytics.fct_blind_windows order by until_at"
    rows = world.rows(question)
    assert [tuple(row.values()) for row in rows] == [(None, at(-5), None, None), (at(0), at(61), 61.0, "ingest")]
