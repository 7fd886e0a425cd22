"""What keeps a month: each reason by itself, and that it is gone when its cause is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.blindness import BlindWindowPassed
from domain.heartbeat import Heartbeat, WatermarkPassed
from domain.session import Session, Silence
from infra.event_store import Checkpoint, Log
from infra.settings import Settings
from tasks.retention import judging
from tasks.retention.judging import judge
from tests.infra.retention.past import LICENSE, MONTHS, Past, on

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "PATIENCE", timedelta())


def reasons(past: Past, *, now: datetime = NOW, **changed: Any) -> dict[str, list[str]]:
    """What keeps the months, by month."""
    settings: Settings = past.settings.model_copy(update=changed)
    return {
        each.part.name: each.reasons for each in judge(past.connection, settings, now=now) if each.part.name in MONTHS
    }


def open_session(number: int, *, started_at: datetime) -> Session:
    return Session.start(f"open-{number}", under=LICENSE, default_patience=timedelta(minutes=6), at=started_at)


def keep(past: Past, session: Session) -> None:
    past.record(Log.LICENSING, *session.collect_events())  # type: ignore[arg-type]
    past.settle()


def test_nothing_keeps_what_is_over_and_old(past: Past) -> None:
    assert reasons(past) == {month: [] for month in MONTHS}


def test_months_are_kept_for_ever_unless_somebody_says_for_how_long(past: Past) -> None:
    found = reasons(past, keep_heartbeats_days=None)
    assert found == {
        month: ["heartbeats are kept for ever: LEDGERQ_KEEP_HEARTBEATS_DAYS is not set"] for month in MONTHS
    }


def test_a_month_is_kept_for_its_days_from_its_end_on(past: Past) -> None:
    found = reasons(past, now=datetime(2026, 3, 31, tzinfo=UTC))
    assert found["2026_01"] == []
    assert found["2026_02"] == []
    assert reasons(past, now=datetime(2026, 3, 30, 23, 59, 59, tzinfo=UTC))["2026_02"] == [
        "it is kept until 2026-03-31 00:00 UTC"
    ]


def test_what_is_not_sealed_stays(past: Past) -> None:
    past.tell(Heartbeat("late", on(2)))
    past.world.catch_up()
    past.record(Log.HEARTBEATS, WatermarkPassed.at(on(5), marker_id=uuid4()))
    past.world.catch_up()
    found = reasons(past)
    assert (found["2026_01"], found["2026_03"]) == ([], [])
    assert found["2026_02"] == ["not all of it is sealed: the scheduler seals, or ledgerq events seal"]
    past.settle()
    assert reasons(past)["2026_02"] == []


def test_the_log_s_newest_event_stays(past: Past) -> None:
    past.tell(Heartbeat("late", on(2)))
    past.settle()
    assert reasons(past)["2026_02"] == ["it has the log's newest event, up to which followers read"]


def test_what_a_follower_has_yet_to_pass_stays(past: Past) -> None:
    last = past.part("2026_01").last_position
    assert last is not None
    with past.connection.transaction():
        Checkpoint.advance(past.connection, "draft.sessions", Log.HEARTBEATS, expected=0, to=last - 1)
    assert reasons(past)["2026_01"][0].startswith("not passed yet by draft.sessions: ")
    past.connection.execute(
        "delete from event_store.checkpoints where follower = 'projection.sessions' and log = 'heartbeats'"
    )
    assert reasons(past)["2026_01"][0].startswith("not passed yet by draft.sessions, projection.sessions: ")


def test_what_an_open_session_was_heard_in_stays(past: Past) -> None:
    session = open_session(1, started_at=on(2))
    keep(past, session)
    found = reasons(past)
    assert found["2026_01"] == []
    assert found["2026_02"] == found["2026_03"] == ["1 sessions of that time are open or may resume: open-1"]
    session.end(reason="signed out", at=on(6))
    keep(past, session)
    assert reasons(past) == {month: [] for month in MONTHS}


def test_what_a_lapsed_session_that_may_resume_was_heard_in_stays_until_it_may_no_longer(past: Past) -> None:
    session = open_session(1, started_at=on(2))
    session.lapse(Silence(on(4, 21), last_heartbeat_at=on(4, 20)))
    keep(past, session)
    ends_at = on(4, 21, seconds=360)  # its patience, and a day: longer than any window
    past.record(Log.HEARTBEATS, WatermarkPassed.at(ends_at, marker_id=uuid4()))
    past.settle()
    assert "open-1" in reasons(past)["2026_02"][0]
    past.record(Log.HEARTBEATS, WatermarkPassed.at(ends_at + timedelta(seconds=1), marker_id=uuid4()))
    past.settle()
    assert reasons(past)["2026_02"] == []
    window = BlindWindowPassed.between(on(4, 21), ends_at + timedelta(days=30), marker_id=uuid4())
    past.record(Log.HEARTBEATS, window)  # its time to resume begins anew where that ends
    past.settle()
    assert "open-1" in reasons(past)["2026_02"][0]


@pytest.mark.parametrize("agreed", ["on_lapse = 'keep'", "resurrection = 'always'"])
def test_what_a_session_was_heard_in_that_may_always_resume_stays(past: Past, agreed: str) -> None:
    session = open_session(1, started_at=on(2))
    session.lapse(Silence(on(3, 11), last_heartbeat_at=on(3)))
    keep(past, session)
    assert reasons(past)["2026_02"] == []
    past.connection.execute(f"update read_model.sessions set {agreed}".encode())  # noqa: S608  ours
    assert "open-1" in reasons(past)["2026_02"][0]


def test_many_open_sessions_are_counted_and_the_oldest_named(past: Past) -> None:
    for number in range(5):
        past.record(Log.LICENSING, *open_session(number, started_at=on(1, 20 - number)).collect_events())  # type: ignore[arg-type]
    past.settle()
    (reason,) = reasons(past)["2026_01"]
    assert reason == "5 sessions of that time are open or may resume: open-4, open-3, open-2, …"


def test_nothing_goes_while_the_read_model_of_sessions_is_behind_its_log(past: Past) -> None:
    past.record(Log.LICENSING, *open_session(1, started_at=on(1)).collect_events())  # type: ignore[arg-type]
    assert reasons(past)["2026_01"] == [
        "nobody knows which sessions are open: the read model of sessions is behind its log"
    ]


def test_what_log_time_is_read_from_stays(past: Past) -> None:
    """As after an upgrade: the newest watermark lies in what was stored before there were months."""
    old = WatermarkPassed(originator_id="watermark-x", originator_version=1, timestamp=on(5))
    past.record(Log.HEARTBEATS, old)
    past.tell(Heartbeat("s", on(4)))
    past.settle()
    (before,) = [
        each
        for each in judge(past.connection, past.settings, now=NOW + timedelta(days=900))
        if each.part.name == "before"
    ]
    assert before.reasons == ["log time is read from it: ingest has not passed a newer watermark"]
    past.record(Log.HEARTBEATS, WatermarkPassed.at(on(6), marker_id=uuid4()))
    past.settle()
    (before,) = [
        each
        for each in judge(past.connection, past.settings, now=NOW + timedelta(days=900))
        if each.part.name == "before"
    ]
    assert before.reasons == []


def test_nothing_goes_without_a_place_for_archives(past: Past) -> None:
    found = reasons(past, archive_dir=None)
    assert found == {month: ["there is nowhere to archive it: LEDGERQ_ARCHIVE_DIR is not set"] for month in MONTHS}
