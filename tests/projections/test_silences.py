from __future__ import annotations

from typing import Any

from domain.blindness import BlindWindowPassed
from domain.license_policy import MonitoringStart, Resurrection
from domain.session import Session, Silence
from infra.event_store import Log
from projections.silences import blind_windows, silent_sessions
from tests.projections.histories import at, changes, minted
from tests.projections.test_sessions import heartbeats, ruled, started, watermark
from tests.projections.world import World


def lapsed(session_id: str = "s1", *, since: float = 10, until: float = 100, **rules: Any) -> Session:
    found = ruled(session_id, **rules)
    assert found.lapse(Silence(at(until), last_heartbeat_at=at(since)))
    return found


def blind(since: float, until: float) -> list[Any]:
    """What ingest records when log time jumps."""
    window = BlindWindowPassed.between(at(since), at(until), marker_id=minted("marker", until))
    return [window, watermark(until)]


def silent(world: World, limit: int = 10) -> dict[str, list[Silence]]:
    world.catch_up("sessions")
    return {each.session_id: list(each.silences) for each in silent_sessions(world.psycopg, limit=limit)}


def back(world: World, limit: int = 10) -> dict[str, Any]:
    """By session the heartbeat that it came back with first."""
    return {session_id: silences[0].heartbeat_at for session_id, silences in silent(world, limit).items()}


def test_a_session_silent_for_longer_than_its_patience_in_log_time_may_have_lapsed(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30), watermark(91))
    world.heard(at(30))
    assert silent(world) == {"s1": [Silence(at(91), at(30), at(30))]}


def test_a_session_silent_for_exactly_its_patience_has_not(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30), watermark(90))
    world.heard(at(30))
    assert silent(world) == {}


def test_nobody_is_suggested_while_log_time_stands_still(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    assert silent(world) == {}


def test_a_session_that_never_sent_a_heartbeat_is_silent_since_its_start(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, watermark(61))
    assert silent(world) == {"s1": [Silence(at(61))]}


def test_a_session_watched_from_its_first_heartbeat_is_not_suggested_before_it(world: World) -> None:
    world.record(Log.LICENSING, *changes(ruled(monitoring_starts=MonitoringStart.FIRST_HEARTBEAT)))
    world.record(Log.HEARTBEATS, watermark(5000))
    assert silent(world) == {}
    world.record(Log.HEARTBEATS, heartbeats(5000))
    world.heard(at(5000))
    assert silent(world) == {}
    world.record(Log.HEARTBEATS, watermark(5061))
    assert list(silent(world)) == ["s1"]


def test_the_longest_silent_are_suggested_first(world: World) -> None:
    for number, start in enumerate([5, 3, 9, 1]):
        world.record(Log.LICENSING, *changes(started(f"s{number}", start)))
    world.record(Log.HEARTBEATS, watermark(500))
    assert list(silent(world, limit=3)) == ["s3", "s1", "s0"]


def test_sessions_that_ended_or_lapsed_are_not_suggested(world: World) -> None:
    ended = started("s1")
    ended.end(reason="signed out", at=at(5))
    world.record(Log.LICENSING, *changes(ended), *changes(lapsed("s2")))
    world.record(Log.HEARTBEATS, heartbeats(1, session_id="never started"), watermark(500))
    assert silent(world) == {}


def test_a_silence_that_is_over_is_suggested_with_the_heartbeat_that_broke_it(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30))
    world.heard(at(30))
    world.catch_up("sessions")  # before the other heartbeats are recorded at other times
    world.record(Log.HEARTBEATS, watermark(300), heartbeats(301, 361), watermark(370))
    assert silent(world)["s1"][0] == Silence(at(300), at(30), at(30), at(301))


def test_a_silence_within_a_blind_window_is_none(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()), *changes(started("never-heard")))
    world.record(Log.HEARTBEATS, heartbeats(30), watermark(50), *blind(50, 900))
    world.heard(at(30))
    assert silent(world) == {}
    assert blind_windows(world.psycopg) == [(at(50), at(900))]
    world.record(Log.HEARTBEATS, heartbeats(901))
    assert silent(world) == {}
    world.record(Log.HEARTBEATS, watermark(961))
    assert list(silent(world)) == ["never-heard"]
    assert world.rows("select * from read_model.session_returns") == []


def test_a_silence_before_a_blind_window_is_one(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30), watermark(91), *blind(91, 900))
    world.heard(at(30))
    assert list(silent(world)) == ["s1"]


def test_a_lapsed_session_with_a_later_heartbeat_may_resume(world: World) -> None:
    world.record(Log.LICENSING, *changes(lapsed()))
    world.record(Log.HEARTBEATS, heartbeats(10))
    assert back(world) == {}
    world.record(Log.HEARTBEATS, heartbeats(120))
    assert back(world) == {"s1": at(120)}


def test_the_heartbeat_a_session_came_back_with_is_the_first_and_not_the_latest(world: World) -> None:
    world.record(Log.HEARTBEATS, heartbeats(10))
    world.heard(at(10))
    world.catch_up("sessions")
    world.record(Log.HEARTBEATS, watermark(101), heartbeats(120, 180, 240), heartbeats(300))
    world.record(Log.LICENSING, *changes(lapsed()))
    assert back(world) == {"s1": at(120)}


def test_a_return_counts_though_its_heartbeat_was_sent_soon_after_the_last_one_and_only_came_late(world: World) -> None:
    world.record(Log.LICENSING, *changes(lapsed(until=101)))
    world.record(Log.HEARTBEATS, heartbeats(10))
    world.heard(at(10))
    world.catch_up("sessions")
    world.record(Log.HEARTBEATS, watermark(101), heartbeats(30, 50), heartbeats(1000))
    assert back(world) == {"s1": at(30)}


def test_who_came_back_too_late_is_not_suggested(world: World) -> None:
    for session_id, came in (("a-late", 671), ("b-in-time", 670), ("c-late", 80_000)):
        world.record(Log.LICENSING, *changes(lapsed(session_id)))
        world.record(Log.HEARTBEATS, heartbeats(10, came, session_id=session_id))
    assert back(world) == {"b-in-time": at(670)}


def test_how_late_one_may_come_back_is_as_the_rules_say(world: World) -> None:
    for resurrection in Resurrection:
        world.record(Log.LICENSING, *changes(lapsed(resurrection.value, resurrection=resurrection)))
        world.record(Log.HEARTBEATS, heartbeats(10, 371, session_id=resurrection.value))
    assert sorted(back(world)) == ["10_minutes", "15_minutes", "always"]


def test_who_could_have_come_back_within_a_blind_window_may_after_it(world: World) -> None:
    world.record(Log.LICENSING, *changes(lapsed()))
    world.record(Log.HEARTBEATS, heartbeats(10), watermark(101), *blind(101, 5000), heartbeats(5600))
    assert back(world) == {"s1": at(5600)}
