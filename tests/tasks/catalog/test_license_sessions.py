"""The sessions of a license whose policy ends them end when it expires, and no others."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from domain.aggregate import Event
from domain.blindness import BlindWindow
from domain.license import License
from domain.license_policy import Expiry, LicensePolicy
from domain.policies import RequestTask, decide
from domain.session import Session, Silence
from domain.session_events import SessionEnded
from infra.event_store import Log
from tasks.catalog import license_sessions
from tasks.catalog.judging import Judgement, Outcome
from tasks.catalog.license_sessions import SessionsNotEndedError, end_license_sessions, end_sessions
from tasks.catalog.licenses import check_terms
from tasks.wiring import Wiring
from tasks.worker.snooze import Snooze
from tests.tasks.catalog.fleet import CAUSE, NOON, Fleet, after

STARTED, ENDED, LAPSED = "session.started", "session.ended", "session.lapsed"


@pytest.fixture
def license_(fleet: Fleet) -> License:
    """A license that expires an hour past noon and ends its sessions then."""
    policy = LicensePolicy(expiry=Expiry.REVOKE)
    issued = License.issue("lic-2", valid_until=after(60), at=NOON - timedelta(days=300), policy=policy)
    fleet.record(issued)
    return issued


def ended(fleet: Fleet) -> Judgement:
    cause = msgspec.structs.replace(CAUSE, id=uuid4())
    return end_sessions(fleet.store, fleet.engine, "lic-2", at=after(60), reason="license expired", cause=cause)


def asked_for(event: Event) -> list[RequestTask]:
    """The tasks that the policies ask for."""
    return [command for command in decide(event) if isinstance(command, RequestTask)]


def test_every_active_session_ends_at_the_end_of_the_term_and_says_why(fleet: Fleet, license_: License) -> None:
    fleet.start("a", "b", under=license_)
    fleet.start("elsewhere")
    fleet.project()
    assert ended(fleet).outcomes == {Outcome.CHANGED: 2}
    end = fleet.events("a")[-1]
    assert isinstance(end, SessionEnded)
    assert (end.reason, end.timestamp) == ("license expired", after(60))
    assert fleet.names("elsewhere") == [STARTED]


def test_doing_it_again_changes_nothing(fleet: Fleet, license_: License) -> None:
    fleet.start("a", under=license_)
    fleet.project()
    ended(fleet)
    assert ended(fleet).recorded == {}
    fleet.project()
    assert ended(fleet).outcomes.total() == 0
    assert fleet.names("a") == [STARTED, ENDED]


def test_a_lapsed_session_ends_for_good_at_its_last_heartbeat(fleet: Fleet, license_: License) -> None:
    fleet.start("quiet", under=license_)
    (found,) = fleet.events("quiet")
    session = found.mutate(None)
    assert isinstance(session, Session)
    session.lapse(Silence(after(58), last_heartbeat_at=after(50)))
    fleet.record(session)
    fleet.project()
    assert ended(fleet).outcomes == {Outcome.CHANGED: 1}
    assert fleet.names("quiet") == [STARTED, LAPSED, ENDED]
    assert fleet.events("quiet")[-1].timestamp == after(50)


def test_a_session_whose_patience_a_blind_window_put_off_ends_for_good_too(fleet: Fleet, license_: License) -> None:
    fleet.start("quiet", under=license_, minutes=-3 * 24 * 60)
    (found,) = fleet.events("quiet")
    session = found.mutate(None)
    assert isinstance(session, Session)
    weekend = BlindWindow(after(1 - 3 * 24 * 60), after(50))
    assert session.lapse(Silence(after(57)), blind=[weekend])
    fleet.record(session)
    fleet.project()
    ended(fleet)
    assert fleet.names("quiet") == [STARTED, LAPSED, ENDED]


def test_a_session_whose_time_to_resume_a_blind_window_put_off_ends_for_good_too(
    fleet: Fleet, license_: License
) -> None:
    days_ago = -3 * 24 * 60
    fleet.start("quiet", under=license_, minutes=days_ago)
    fleet.start("over", under=license_, minutes=days_ago - 2 * 24 * 60)
    for name in ("quiet", "over"):
        session = fleet.session(name)
        session.lapse(Silence(session.started_at + timedelta(minutes=7)))
        fleet.record(session)
    fleet.blind(since=days_ago + 8, until=50)
    ended(fleet)
    assert (fleet.names("quiet"), fleet.names("over")) == ([STARTED, LAPSED, ENDED], [STARTED, LAPSED])


def test_a_session_that_started_after_a_renewal_goes_on(fleet: Fleet, license_: License) -> None:
    fleet.start("before", under=license_)
    license_.renew(valid_until=after(5000), at=after(70))
    fleet.start("since", under=license_, minutes=80)
    fleet.record(license_)
    fleet.project()
    ended(fleet)
    assert (fleet.names("before"), fleet.names("since")) == ([STARTED, ENDED], [STARTED])


def test_what_the_check_records_asks_for_the_task_that_ends_them(
    fleet: Fleet, license_: License, wired: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(license_sessions, "wiring", lambda: wired)
    fleet.start("a", under=license_)
    fleet.project()
    check_terms(fleet.store, fleet.engine, cause=CAUSE, now=after(3000))
    fleet.project()
    facts = fleet.store.load(Log.LICENSING, ["license-lic-2"])["license-lic-2"]
    (command,) = [each for fact in facts for each in asked_for(fact) if each.task == "end_license_sessions"]
    result = end_license_sessions.apply(kwargs=command.kwargs, task_id=str(uuid4())).get()
    assert result.pop("duration_seconds") > 0
    assert result == {"found": 1, "ended": 1, "errors": 0}
    assert fleet.names("a") == [STARTED, ENDED]


def test_the_sessions_of_a_revoked_license_end_when_it_is_revoked_and_say_so(
    fleet: Fleet, license_: License, wired: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(license_sessions, "wiring", lambda: wired)
    fleet.start("a", under=license_)
    license_.revoke(reason="terms broken", at=after(30))
    fleet.record(license_)
    fleet.project()
    (command,) = asked_for(fleet.store.load(Log.LICENSING, ["license-lic-2"])["license-lic-2"][-1])
    assert isinstance(command, RequestTask)
    end_license_sessions.apply(kwargs=command.kwargs, task_id=str(uuid4())).get()
    end = fleet.events("a")[-1]
    assert isinstance(end, SessionEnded)
    assert (end.reason, end.timestamp) == ("license revoked", after(30))


def test_a_session_that_started_before_we_were_told_of_the_revocation_ends_too(fleet: Fleet, license_: License) -> None:
    fleet.start("late", under=license_, minutes=40)
    license_.revoke(reason="terms broken", at=after(30))
    fleet.record(license_)
    fleet.project()
    end_sessions(fleet.store, fleet.engine, "lic-2", at=after(30), reason="license revoked", cause=CAUSE)
    assert (fleet.names("late"), fleet.events("late")[-1].timestamp) == ([STARTED, ENDED], after(40))


def test_the_task_puts_itself_off_while_the_read_model_does_not_know_the_sessions(
    fleet: Fleet, license_: License, wired: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(license_sessions, "wiring", lambda: wired)
    monkeypatch.setattr(license_sessions, "PATIENCE", timedelta(milliseconds=50))
    fleet.start("a", under=license_)
    asked = {"license_id": "lic-2", "at": after(60).isoformat()}
    with pytest.raises(Snooze, match="sessions is at 0 of licensing"):
        end_license_sessions.apply(kwargs=asked, task_id=str(uuid4()), throw=True)
    fleet.project()
    assert end_license_sessions.apply(kwargs=asked, task_id=str(uuid4())).get()["ended"] == 1


def test_the_task_fails_where_a_session_cannot_be_ended_and_ends_the_others(
    fleet: Fleet, license_: License, wired: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(license_sessions, "wiring", lambda: wired)
    fleet.start("a", "hopeless", under=license_)
    fleet.spoil("hopeless")
    fleet.project()
    asked = {"license_id": "lic-2", "at": after(60).isoformat()}
    with pytest.raises(SessionsNotEndedError, match="1 of 2 sessions of license lic-2"):
        end_license_sessions.apply(kwargs=asked, task_id=str(uuid4()), throw=True)
    assert fleet.names("a") == [STARTED, ENDED]
