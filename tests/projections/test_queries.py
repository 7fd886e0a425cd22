from __future__ import annotations

from datetime import timedelta

from domain.license import License
from infra.event_store import Log
from projections.queries import (
    LapseCandidate,
    ResumeCandidate,
    lapse_candidates,
    licenses_to_judge,
    resume_candidates,
)
from tests.projections.histories import NOON, at, changes
from tests.projections.test_sessions import heartbeats, started, watermark
from tests.projections.world import World


def silent(world: World, limit: int = 10) -> list[LapseCandidate]:
    world.catch_up("sessions")
    return lapse_candidates(world.psycopg, limit=limit)


def came_back(world: World, limit: int = 10, *, window: timedelta = timedelta(minutes=10)) -> list[ResumeCandidate]:
    world.catch_up("sessions")
    return resume_candidates(world.psycopg, window=window, limit=limit)


def test_a_session_silent_for_longer_than_its_patience_in_log_time_may_have_lapsed(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30), watermark(91))
    world.heard(at(30))
    assert silent(world) == [LapseCandidate("s1", at(30), at(91))]


def test_a_session_silent_for_exactly_its_patience_has_not(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, heartbeats(30), watermark(90))
    world.heard(at(30))
    assert silent(world) == []


def test_nobody_is_suggested_while_log_time_stands_still(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    assert silent(world) == []


def test_a_session_that_never_sent_a_heartbeat_is_silent_since_its_start(world: World) -> None:
    world.record(Log.LICENSING, *changes(started()))
    world.record(Log.HEARTBEATS, watermark(61))
    assert silent(world) == [LapseCandidate("s1", at(0), at(61))]


def test_the_longest_silent_are_suggested_first(world: World) -> None:
    for number, start in enumerate([5, 3, 9, 1]):
        world.record(Log.LICENSING, *changes(started(f"s{number}", start)))
    world.record(Log.HEARTBEATS, watermark(500))
    assert [candidate.session_id for candidate in silent(world, limit=3)] == ["s3", "s1", "s0"]


def test_sessions_that_ended_or_lapsed_are_not_suggested(world: World) -> None:
    ended, lapsed = started("s1"), started("s2")
    ended.end(reason="signed out", at=at(5))
    lapsed.lapse(last_heartbeat_at=at(0), judged_at=at(100))
    world.record(Log.LICENSING, *changes(ended), *changes(lapsed))
    world.record(Log.HEARTBEATS, heartbeats(1, session_id="never started"), watermark(500))
    assert silent(world) == []


def test_a_lapsed_session_with_a_later_heartbeat_may_resume(world: World) -> None:
    lapsed = started()
    lapsed.lapse(last_heartbeat_at=at(10), judged_at=at(100))
    world.record(Log.LICENSING, *changes(lapsed))
    world.record(Log.HEARTBEATS, heartbeats(10))
    assert came_back(world) == []
    world.record(Log.HEARTBEATS, heartbeats(120))
    assert came_back(world) == [ResumeCandidate("s1", at(120))]


def test_the_heartbeat_a_session_came_back_with_is_the_first_and_not_the_latest(world: World) -> None:
    lapsed = started()
    lapsed.lapse(last_heartbeat_at=at(10), judged_at=at(100))
    world.record(Log.HEARTBEATS, heartbeats(10), watermark(100), heartbeats(120, 180, 240))
    assert came_back(world) == []
    world.record(Log.HEARTBEATS, heartbeats(300))
    world.record(Log.LICENSING, *changes(lapsed))
    assert came_back(world) == [ResumeCandidate("s1", at(120))]


def test_a_return_counts_though_its_heartbeat_was_sent_soon_after_the_last_one_and_only_came_late(world: World) -> None:
    lapsed = started()
    lapsed.lapse(last_heartbeat_at=at(10), judged_at=at(101))
    world.record(Log.LICENSING, *changes(lapsed))
    world.record(Log.HEARTBEATS, heartbeats(10), watermark(101), heartbeats(30, 50), heartbeats(1000))
    assert came_back(world) == [ResumeCandidate("s1", at(30))]


def test_who_came_back_too_late_is_not_suggested(world: World) -> None:
    for session_id, back in (("a-late", 671), ("b-in-time", 670), ("c-late", 80_000)):
        lapsed = started(session_id)
        lapsed.lapse(last_heartbeat_at=at(10), judged_at=at(100))
        world.record(Log.LICENSING, *changes(lapsed))
        world.record(Log.HEARTBEATS, heartbeats(10, back, back + 60, session_id=session_id))
    assert came_back(world) == [ResumeCandidate("b-in-time", at(670))]
    found = came_back(world, window=timedelta(minutes=10, seconds=1))
    assert [candidate.session_id for candidate in found] == ["b-in-time", "a-late"]


def test_licenses_with_something_due_are_suggested_until_it_is_recorded(world: World) -> None:
    soon, later = (License.issue(f"l{days}", valid_until=NOON + timedelta(days=days), at=NOON) for days in (10, 60))
    world.record(Log.LICENSING, *changes(soon), *changes(later))
    world.catch_up("licenses")
    now = NOON + timedelta(days=4)
    assert licenses_to_judge(world.psycopg, now=now, limit=10) == ["l10"]
    soon.judge_term(now=now)
    world.record(Log.LICENSING, *changes(soon))
    world.catch_up("licenses")
    assert licenses_to_judge(world.psycopg, now=now, limit=10) == []
    assert licenses_to_judge(world.psycopg, now=NOON + timedelta(days=31), limit=10) == ["l10", "l60"]
    assert licenses_to_judge(world.psycopg, now=NOON + timedelta(days=31), horizon_days=7, limit=10) == ["l10"]
