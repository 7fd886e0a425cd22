"""Many aggregates are judged at once; whatever happens to one of them, each decision is stored once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from domain.aggregate import replay
from domain.session import Session, Silence, session_stream
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore
from tasks.catalog.judging import LOOKS, Judge, Outcome
from tests.tasks.catalog.fleet import CAUSE, Fleet, after

Question = Callable[[Session], object]


def lapse(session: Session) -> None:
    session.lapse(Silence(after(30), last_heartbeat_at=after(1)))


def raced(fleet: Fleet, *, times: int) -> Question:
    """A question during which somebody else is quicker, so many times: the session lapses and resumes meanwhile."""
    left = [times]

    def question(session: Session) -> None:
        if left[0]:
            left[0] -= 1
            other = replay(fleet.events(session.session_id))
            assert isinstance(other, Session)
            moment = other.version + 1.0
            other.lapse(Silence(after(moment + 20), last_heartbeat_at=after(moment)))
            other.resume(heartbeat_at=after(moment + 1))
            fleet.record(other)
        lapse(session)

    return question


def judged(store: EventStore, questions: dict[str, Question]) -> dict[Outcome, int]:
    judge = Judge(store, CAUSE)
    judge.ask({session_stream(name): question for name, question in questions.items()})
    return dict(judge.judgement.outcomes)


def test_who_loses_a_race_looks_again_until_it_is_won(fleet: Fleet) -> None:
    fleet.start("ses-1", "ses-2")
    outcomes = judged(fleet.store, {"ses-1": raced(fleet, times=2), "ses-2": lapse})
    assert outcomes == {Outcome.CHANGED: 2}
    assert fleet.names("ses-1") == ["session.started", *["session.lapsed", "session.resumed"] * 2, "session.lapsed"]
    assert fleet.names("ses-2") == ["session.started", "session.lapsed"]


def test_who_loses_every_race_is_counted_as_failed(fleet: Fleet) -> None:
    fleet.start("ses-1", "ses-2")
    with capture_logs() as lines:
        outcomes = judged(fleet.store, {"ses-1": raced(fleet, times=LOOKS), "ses-2": lapse})
    assert outcomes == {Outcome.CHANGED: 1, Outcome.FAILED: 1}
    assert [line["stream"] for line in lines if line["log_level"] == "error"] == ["session-ses-1"]


def test_an_aggregate_that_is_not_there_is_left_alone(fleet: Fleet) -> None:
    assert judged(fleet.store, {"nobody": lapse}) == {Outcome.UNCHANGED: 1}


def test_an_outage_is_a_fault_and_no_failure_of_each_session(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.start("ses-1")

    def away(*_: object) -> None:
        raise DatabaseUnreachableError("away")

    monkeypatch.setattr(fleet.store, "load", away)
    with pytest.raises(DatabaseUnreachableError):
        judged(fleet.store, {"ses-1": lapse})
