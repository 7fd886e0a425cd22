"""The sweep lets silent sessions lapse, resumes those that came back, and any number of sweeps give the same as one."""

from __future__ import annotations

import threading
from collections import Counter
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from domain.aggregate import replay
from domain.heartbeat import WatermarkPassed
from domain.license import License
from domain.license_policy import LicensePolicy, Resurrection
from domain.session import Session
from domain.session_events import SessionLapsed
from infra.event_store import EventStore
from tasks.catalog import sessions
from tasks.catalog.judging import Judgement, Outcome
from tasks.catalog.sessions import cleanup_zombie_sessions, sweep
from tasks.wiring import Wiring
from tests.tasks.catalog.fleet import CAUSE, Fleet, after

LAPSED = ["session.started", "session.lapsed"]


def swept(fleet: Fleet, *, batch: int = 100) -> Judgement:
    cause = msgspec.structs.replace(CAUSE, id=uuid4())
    return sweep(fleet.store, fleet.engine, cause=cause, batch=batch)


def test_a_session_silent_for_longer_than_its_patience_lapses_as_of_its_last_heartbeat(fleet: Fleet) -> None:
    fleet.start("silent", "alive")
    fleet.beat(["silent", "alive"], minutes=1)
    fleet.beat(["alive"], minutes=7)
    fleet.pass_time(minutes=8)
    assert swept(fleet).outcomes == {Outcome.CHANGED: 1}
    lapsed = fleet.events("silent")[-1]
    assert isinstance(lapsed, SessionLapsed)
    assert (lapsed.timestamp, lapsed.judged_at) == (after(1), after(8))
    assert fleet.names("alive") == ["session.started"]


def test_silence_is_judged_in_log_time_and_not_by_a_clock(fleet: Fleet) -> None:
    fleet.start("silent")
    fleet.pass_time(minutes=5)
    assert swept(fleet).outcomes.total() == 0
    assert fleet.names("silent") == ["session.started"]


def test_a_session_whose_clock_is_slower_than_its_patience_is_alive_while_its_heartbeats_come(fleet: Fleet) -> None:
    fleet.start("slow", minutes=-7)
    for minute in range(5):
        fleet.beat(["slow"], minutes=minute, clock_behind=7)
        fleet.pass_time(minutes=minute + 0.5)
        swept(fleet)
    assert fleet.names("slow") == ["session.started"]
    fleet.pass_time(minutes=10.5)
    assert swept(fleet).outcomes == {Outcome.CHANGED: 1}
    assert fleet.events("slow")[-1].timestamp == after(4 - 7)


def test_a_session_that_came_back_within_the_window_resumes(fleet: Fleet) -> None:
    fleet.start("returning")
    fleet.pass_time(minutes=7)
    swept(fleet)
    fleet.beat(["returning"], minutes=8)
    fleet.pass_time(minutes=8.1)
    assert swept(fleet).outcomes == {Outcome.CHANGED: 1}
    assert fleet.names("returning") == [*LAPSED, "session.resumed"]
    assert fleet.events("returning")[-1].timestamp == after(8)


def test_a_session_that_came_back_in_time_resumes_however_late_the_sweep_looks(fleet: Fleet) -> None:
    fleet.start("returning")
    fleet.pass_time(minutes=7)
    swept(fleet)
    for minutes in range(15, 40):  # it may come back until 16
        fleet.beat(["returning"], minutes=minutes)
    fleet.pass_time(minutes=40)
    assert swept(fleet).outcomes == {Outcome.CHANGED: 1}
    assert fleet.events("returning")[-1].timestamp == after(15)
    fleet.project()
    assert swept(fleet) == swept(fleet)  # neither silent nor lapsed: nothing is found
    assert fleet.names("returning") == [*LAPSED, "session.resumed"]


def test_a_session_that_came_back_too_late_stays_lapsed_and_is_not_asked_at_every_sweep(fleet: Fleet) -> None:
    fleet.start("late")
    fleet.pass_time(minutes=7)
    swept(fleet)
    for minutes in (17, 18, 25):
        fleet.beat(["late"], minutes=minutes)
        fleet.pass_time(minutes=minutes)
        assert swept(fleet).outcomes.total() == 0
    assert fleet.names("late") == LAPSED


def test_a_second_sweep_before_the_read_model_has_heard_of_the_first_changes_nothing(fleet: Fleet) -> None:
    fleet.start("silent")
    fleet.pass_time(minutes=7)
    assert swept(fleet).outcomes == {Outcome.CHANGED: 1}
    assert swept(fleet).outcomes == {Outcome.UNCHANGED: 1}
    assert fleet.names("silent") == LAPSED


def test_every_silent_session_is_found_whatever_the_batch(fleet: Fleet) -> None:
    names = [f"silent-{number}" for number in range(37)]
    fleet.start(*names)
    fleet.pass_time(minutes=7)
    assert swept(fleet, batch=2).outcomes == {Outcome.CHANGED: 37}
    assert all(fleet.names(name) == LAPSED for name in names)


def test_sessions_that_cannot_be_judged_are_counted_and_keep_no_other_waiting(fleet: Fleet) -> None:
    hopeless, others = [f"a-{number}" for number in range(12)], ["b-1", "b-2"]
    fleet.start(*hopeless, minutes=-1)  # silent for longer, so suggested first
    fleet.start(*others)
    for name in hopeless:
        fleet.spoil(name)
    fleet.pass_time(minutes=8)
    for remaining in (2, 0):  # the second sweep meets the hopeless ones again, and ends again
        with capture_logs() as lines:
            outcomes = swept(fleet, batch=1).outcomes
        assert sum("cannot be judged" in line["event"] for line in lines) == 12
        assert (outcomes[Outcome.CHANGED], outcomes[Outcome.FAILED]) == (remaining, 12)
        fleet.project()
    assert [fleet.names(name) for name in others] == [LAPSED, LAPSED]


def test_a_suggested_session_that_has_ended_meanwhile_is_left_as_it_is(fleet: Fleet) -> None:
    fleet.start("leaving")
    fleet.pass_time(minutes=7)
    session = replay(fleet.events("leaving"))
    assert isinstance(session, Session)
    session.end(reason="signed out", at=after(3))
    fleet.record(session)
    assert swept(fleet).outcomes == {Outcome.UNCHANGED: 1}
    assert fleet.names("leaving") == ["session.started", "session.ended"]


def test_four_sweeps_at_once_give_the_same_as_one(fleet: Fleet) -> None:
    silent, returning = [f"silent-{number:03}" for number in range(90)], [f"back-{number:03}" for number in range(90)]
    fleet.start(*silent, *returning)
    fleet.pass_time(minutes=7)
    fleet.beat(returning, minutes=7)
    fleet.project()
    start, found = threading.Barrier(4), list[Judgement]()

    def go() -> None:
        start.wait()
        found.append(swept(fleet, batch=10))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded = sum((each.recorded for each in found), Counter[str]())
    assert recorded == {"session.lapsed": 180, "session.resumed": 90}
    assert all(each.outcomes[Outcome.FAILED] == 0 for each in found)
    assert all(fleet.names(name) == LAPSED for name in silent)
    assert all(fleet.names(name) == [*LAPSED, "session.resumed"] for name in returning)


def test_a_sweep_that_was_away_for_three_days_records_each_missed_transition_once_with_its_true_time(
    fleet: Fleet,
) -> None:
    fleet.start("naps", "gone", "steady")
    fleet.beat(["naps", "gone", "steady"], minutes=1)
    fleet.pass_time(minutes=2)
    day = 24 * 60
    naps = (day, 2 * day, 3 * day)
    for nap, before in zip(naps, (2, day + 10, 2 * day + 10), strict=True):
        fleet.blind(since=before, until=nap - 1)
        fleet.beat(["naps", "steady"], minutes=nap)
        for minutes in (nap + 3, nap + 7):
            fleet.beat(["steady"], minutes=minutes)
            fleet.pass_time(minutes=minutes)
        fleet.beat(["naps", "steady"], minutes=nap + 8)
        fleet.pass_time(minutes=nap + 10)
    swept(fleet)
    fleet.project()
    swept(fleet)
    told = [(event.name, event.timestamp) for event in fleet.events("naps")[1:]]
    assert told == [
        fact for nap in naps for fact in (("session.lapsed", after(nap)), ("session.resumed", after(nap + 8)))
    ]
    (lapsed,) = fleet.events("gone")[1:]
    assert isinstance(lapsed, SessionLapsed)
    assert (lapsed.timestamp, lapsed.patience_over_at) == (after(1), after(day - 1 + 6))
    assert fleet.names("steady") == ["session.started"]


def test_a_sweep_that_alone_was_away_for_three_days_does_the_same(fleet: Fleet) -> None:
    """Ingest went on, and log time with it: there is no blind window, and nobody is given grace."""
    hour = 60
    rules = LicensePolicy(patience_seconds=6 * 3600, resurrection=Resurrection.FIFTEEN_MINUTES)
    under = License.issue("lic-2", valid_until=after(1e6), at=after(-1), policy=rules)
    fleet.start("naps", "gone", "steady", "late", under=under)
    for number in range(1, 73):
        now, of_day = number * hour, number % 24
        naps = ["naps"] * (not 12 <= of_day <= 17)
        fleet.beat(["steady", *naps, *["gone"] * (number == 1)], minutes=now)
        fleet.tell(WatermarkPassed.at(after(now + 1), marker_id=uuid4()), at=after(now + 1))
        if of_day == 17:
            fleet.beat(["naps"], minutes=now + 5)  # five minutes after its patience was over
        if number == 6:
            fleet.beat(["late"], minutes=now + 16)  # a minute after its time to resume
    fleet.project()
    assert swept(fleet).recorded == {"session.lapsed": 5, "session.resumed": 3}
    fleet.project()
    assert swept(fleet).recorded == {}
    told = [(event.name, event.timestamp) for event in fleet.events("naps")[1:]]
    assert told == [
        fact
        for day in (0, 24, 48)
        for fact in (
            ("session.lapsed", after((day + 11) * hour)),
            ("session.resumed", after((day + 17) * hour + 5)),
        )
    ]
    for name, heard in (("gone", 1), ("late", 0)):
        (lapsed,) = fleet.events(name)[1:]
        assert isinstance(lapsed, SessionLapsed)
        assert (lapsed.timestamp, lapsed.patience_over_at) == (after(heard * hour), after((heard + 6) * hour))
    assert fleet.names("steady") == ["session.started"]


def test_what_the_sweep_records_is_caused_by_its_run(fleet: Fleet, store: EventStore) -> None:
    fleet.start("silent")
    fleet.pass_time(minutes=7)
    sweep(fleet.store, fleet.engine, cause=CAUSE)
    (recorded,) = store.read("licensing", after=0, limit=9, names=("session.lapsed",)).events  # type: ignore[arg-type]
    assert recorded.metadata == CAUSE.metadata()


def test_the_task_says_what_it_found_and_did(fleet: Fleet, wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "wiring", lambda: wired)
    fleet.start("silent-1", "silent-2")
    fleet.pass_time(minutes=7)
    result = cleanup_zombie_sessions.apply(kwargs={"batch": 100}, task_id=str(uuid4())).get()
    assert result.pop("duration_seconds") > 0
    assert result == {"found": 2, "cleaned": 2, "resumed": 0, "errors": 0}
