from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.aggregate import Event, replay
from domain.license import License
from domain.license_policy import LicensePolicy
from domain.license_refusals import LicenseNotActive
from domain.session import ResurrectionWindowOver, Session, SessionNotOpen, SessionState

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def a_license(*, patience_seconds: float | None = None) -> License:
    policy = LicensePolicy(patience_seconds=patience_seconds)
    return License.issue("L1", valid_until=NOW + timedelta(days=100), at=NOW, policy=policy)


def a_session(*, patience_seconds: float | None = None) -> Session:
    under = a_license(patience_seconds=patience_seconds)
    return Session.start("S1", under=under, default_patience=6 * MINUTE, at=NOW)


def test_a_session_silent_for_longer_than_its_patience_lapses_as_of_its_last_heartbeat() -> None:
    session = a_session()
    assert session.lapse(last_heartbeat_at=NOW + MINUTE, judged_at=NOW + 8 * MINUTE)
    assert session.state is SessionState.LAPSED
    assert session.ended_at == NOW + MINUTE


def test_silence_of_exactly_the_patience_is_not_yet_a_lapse() -> None:
    assert not a_session().lapse(last_heartbeat_at=NOW, judged_at=NOW + 6 * MINUTE)


def test_the_licenses_patience_counts_where_it_has_one() -> None:
    assert a_session(patience_seconds=30).lapse(last_heartbeat_at=NOW, judged_at=NOW + MINUTE)


def test_a_session_lapses_once() -> None:
    session = a_session()
    session.lapse(last_heartbeat_at=NOW, judged_at=NOW + 7 * MINUTE)
    assert not session.lapse(last_heartbeat_at=NOW, judged_at=NOW + 8 * MINUTE)


def test_heartbeat_after_lapse_within_the_window_resumes_the_session() -> None:
    session = a_session()
    session.lapse(last_heartbeat_at=NOW, judged_at=NOW + 7 * MINUTE)
    assert session.resume(heartbeat_at=NOW + 10 * MINUTE, window=5 * MINUTE)
    assert session.state is SessionState.ACTIVE
    assert session.ended_at is None


def test_heartbeat_after_the_window_is_refused() -> None:
    session = a_session()
    session.lapse(last_heartbeat_at=NOW, judged_at=NOW + 7 * MINUTE)
    with pytest.raises(ResurrectionWindowOver, match="could have resumed until"):
        session.resume(heartbeat_at=NOW + 12 * MINUTE, window=5 * MINUTE)


def test_a_heartbeat_from_before_the_lapse_resumes_nothing() -> None:
    session = a_session()
    session.lapse(last_heartbeat_at=NOW + MINUTE, judged_at=NOW + 8 * MINUTE)
    assert not session.resume(heartbeat_at=NOW + MINUTE, window=5 * MINUTE)


def test_a_session_ends_once() -> None:
    session = a_session()
    session.end(reason="signed out", at=NOW + MINUTE)
    with pytest.raises(SessionNotOpen):
        session.end(reason="signed out", at=NOW + MINUTE)
    assert not session.lapse(last_heartbeat_at=NOW, judged_at=NOW + 60 * MINUTE)


def test_a_suspended_license_admits_no_session() -> None:
    license_ = a_license()
    license_.suspend(reason="payment", at=NOW)
    with pytest.raises(LicenseNotActive):
        Session.start("S1", under=license_, default_patience=6 * MINUTE, at=NOW)


def test_replayed_events_give_the_same_session() -> None:
    session = a_session()
    session.lapse(last_heartbeat_at=NOW, judged_at=NOW + 7 * MINUTE)
    session.resume(heartbeat_at=NOW + 10 * MINUTE, window=5 * MINUTE)
    session.end(reason="signed out", at=NOW + 11 * MINUTE)
    assert replay([event for event in session.collect_events() if isinstance(event, Event)]) == session
