from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.aggregate import Event, replay
from domain.blindness import BlindWindow
from domain.license import License
from domain.license_policy import LicensePolicy, MonitoringStart, OnLapse, Resurrection
from domain.license_refusals import LicenseNotActive
from domain.session import Session, Silence
from domain.session_events import SessionLapsed, SessionState
from domain.session_refusals import ResurrectionForbidden, ResurrectionWindowOver, SessionNotOpen

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def a_license(**rules: Any) -> License:
    return License.issue("L1", valid_until=NOW + timedelta(days=100), at=NOW, policy=LicensePolicy(**rules))


def a_session(**rules: Any) -> Session:
    return Session.start("S1", under=a_license(**rules), default_patience=6 * MINUTE, at=NOW)


def silence(until: float, *, since: float | None = 0, back_at: float | None = None) -> Silence:
    """Nothing was heard from one minute to another of log time; at a third a heartbeat came."""
    last = None if since is None else NOW + since * MINUTE
    return Silence(NOW + until * MINUTE, last, last, None if back_at is None else NOW + back_at * MINUTE)


def a_lapsed_session(**rules: Any) -> Session:
    """One whose patience was over six minutes after it started."""
    session = a_session(**rules)
    assert session.lapse(silence(7))
    return session


def names(session: Session) -> list[str]:
    return [event.name for event in session.collect_events() if isinstance(event, Event)]


def test_a_session_silent_for_longer_than_its_patience_lapses_as_of_its_last_heartbeat() -> None:
    session = a_session()
    assert session.lapse(silence(8, since=1))
    assert session.state is SessionState.LAPSED
    assert session.lapsed_at == session.ended_at == NOW + MINUTE


def test_silence_of_exactly_the_patience_is_not_yet_a_lapse() -> None:
    assert not a_session().lapse(silence(6))


def test_the_licenses_patience_counts_where_it_has_one() -> None:
    assert a_session(patience_seconds=30).lapse(silence(1))


def test_a_session_keeps_the_rules_it_started_under() -> None:
    rules = {"name": "gold", "heartbeat_interval_seconds": 20, "resurrection": Resurrection.NEVER}
    session = a_session(**rules)
    kept = session.rules
    assert (kept.policy, kept.heartbeat_interval_seconds, kept.resurrection) == tuple(rules.values())
    assert kept.patience == 6 * MINUTE


def test_a_session_lapses_once() -> None:
    session = a_lapsed_session()
    assert not session.lapse(silence(8))


def test_a_lapse_says_when_patience_was_over_however_late_it_is_found_out() -> None:
    for found_at in (7, 700):
        session = a_session()
        session.lapse(silence(found_at))
        lapsed = session.collect_events()[-1]
        assert isinstance(lapsed, SessionLapsed)
        assert (lapsed.timestamp, lapsed.patience_over_at) == (NOW, NOW + 6 * MINUTE)


def test_a_session_whose_clock_is_behind_is_alive_while_its_heartbeats_are_recorded() -> None:
    heard = Silence(NOW + 20 * MINUTE, last_heartbeat_at=NOW, heard_at=NOW + 19 * MINUTE)
    assert not a_session().lapse(heard)
    assert a_session().lapse(heard._replace(log_time=NOW + 26 * MINUTE))


def test_a_session_watched_from_its_start_lapses_without_ever_sending_a_heartbeat() -> None:
    assert a_session(monitoring_starts=MonitoringStart.CREATION).lapse(silence(7, since=None))


def test_a_session_watched_from_its_first_heartbeat_does_not_lapse_before_it() -> None:
    session = a_session(monitoring_starts=MonitoringStart.FIRST_HEARTBEAT)
    assert not session.lapse(silence(7000, since=None))
    session.judge(silence(7000, since=None, back_at=7000))
    assert names(session) == ["session.started"]
    assert session.lapse(silence(7007, since=7000))


@pytest.mark.parametrize(
    ("on_lapse", "is_over", "holds_seat"), [(OnLapse.END, True, False), (OnLapse.KEEP, False, True)]
)
def test_what_a_lapse_does_is_as_the_rules_say(on_lapse: OnLapse, is_over: bool, holds_seat: bool) -> None:  # noqa: FBT001
    session = a_lapsed_session(on_lapse=on_lapse)
    assert session.state is SessionState.LAPSED
    assert (session.ended_at == NOW) is is_over
    assert session.holds_seat is holds_seat
    session.end(reason="signed out", at=NOW + 9 * MINUTE)
    assert (session.state, session.ended_at, session.holds_seat) == (SessionState.ENDED, NOW + 9 * MINUTE, False)


WINDOWS = {
    Resurrection.ONE_MINUTE: 1,
    Resurrection.TWO_MINUTES: 2,
    Resurrection.FIVE_MINUTES: 5,
    Resurrection.TEN_MINUTES: 10,
    Resurrection.FIFTEEN_MINUTES: 15,
}


@pytest.mark.parametrize(("resurrection", "minutes"), WINDOWS.items(), ids=[each.value for each in WINDOWS])
def test_a_heartbeat_within_the_window_resumes_and_one_after_it_does_not(
    resurrection: Resurrection, minutes: int
) -> None:
    session = a_lapsed_session(resurrection=resurrection)
    assert session.resume(heartbeat_at=NOW + (6 + minutes) * MINUTE)
    assert (session.state, session.ended_at) == (SessionState.ACTIVE, None)
    session = a_lapsed_session(resurrection=resurrection)
    with pytest.raises(ResurrectionWindowOver, match="could have resumed until"):
        session.resume(heartbeat_at=NOW + (6 + minutes) * MINUTE + timedelta(microseconds=1))
    assert session.state is SessionState.LAPSED


def test_a_session_that_may_never_resume_does_not_even_within_its_patience() -> None:
    session = a_lapsed_session(resurrection=Resurrection.NEVER)
    with pytest.raises(ResurrectionForbidden, match="let no lapsed session resume"):
        session.resume(heartbeat_at=NOW + MINUTE)


def test_a_session_that_may_always_resume_does_after_years() -> None:
    assert a_lapsed_session(resurrection=Resurrection.ALWAYS).resume(heartbeat_at=NOW + timedelta(days=3000))


def test_a_heartbeat_from_before_the_lapse_resumes_nothing() -> None:
    session = a_session()
    session.lapse(silence(8, since=1))
    assert not session.resume(heartbeat_at=NOW + MINUTE)


def test_a_silence_that_is_over_is_judged_as_if_one_had_looked_in_time() -> None:
    session = a_session()
    session.judge(silence(9, back_at=9))
    assert names(session) == ["session.started", "session.lapsed", "session.resumed"]
    session.judge(silence(9, back_at=9))
    assert names(session) == []


def test_a_silence_that_ended_too_late_leaves_the_session_lapsed() -> None:
    session = a_session()
    session.judge(silence(17, back_at=17))
    assert names(session) == ["session.started", "session.lapsed"]


def test_patience_that_would_be_over_in_a_blind_window_begins_anew_at_its_end() -> None:
    blind = [BlindWindow(NOW + 3 * MINUTE, NOW + 13 * MINUTE)]
    assert not a_session().lapse(silence(19), blind=blind)
    session = a_session()
    assert session.lapse(silence(20), blind=blind)
    assert (session.lapsed_at, session.patience_over_at) == (NOW, NOW + 19 * MINUTE)
    assert session.resume(heartbeat_at=NOW + 29 * MINUTE)


def test_a_session_that_had_lapsed_before_a_blind_window_gets_no_grace() -> None:
    session = a_session()
    assert session.lapse(silence(20), blind=[BlindWindow(NOW + 6.5 * MINUTE, NOW + 20 * MINUTE)])
    assert session.patience_over_at == NOW + 6 * MINUTE


def test_who_could_have_come_back_within_a_blind_window_may_after_it() -> None:
    blind = [BlindWindow(NOW + 8 * MINUTE, NOW + 60 * MINUTE)]
    assert a_lapsed_session().resume(heartbeat_at=NOW + 70 * MINUTE, blind=blind)
    with pytest.raises(ResurrectionWindowOver):
        a_lapsed_session().resume(heartbeat_at=NOW + 71 * MINUTE, blind=blind)


def test_a_session_ends_once() -> None:
    session = a_session()
    session.end(reason="signed out", at=NOW + MINUTE)
    with pytest.raises(SessionNotOpen):
        session.end(reason="signed out", at=NOW + MINUTE)
    assert not session.lapse(silence(60))


def test_a_suspended_license_admits_no_session() -> None:
    license_ = a_license()
    license_.suspend(reason="payment", at=NOW)
    with pytest.raises(LicenseNotActive):
        Session.start("S1", under=license_, default_patience=6 * MINUTE, at=NOW)


def test_replayed_events_give_the_same_session() -> None:
    session = a_lapsed_session()
    session.resume(heartbeat_at=NOW + 10 * MINUTE)
    session.end(reason="signed out", at=NOW + 11 * MINUTE)
    assert replay([event for event in session.collect_events() if isinstance(event, Event)]) == session
