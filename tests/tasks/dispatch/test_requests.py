"""Policies ask for runs; asked twice, they ask for the same ones."""

from __future__ import annotations

from datetime import UTC, timedelta
from uuid import uuid4

from domain.license_events import LicenseExpiringSoon, LicenseSuspended
from domain.task_run import SLOT_REQUESTED, TaskEvent, TaskRequested, task_event
from tasks.dispatch.requests import requested_by
from tests.tasks.dispatch.recorded import NOW, recorded

SOON = LicenseExpiringSoon(
    originator_id="license-lic-1", originator_version=2, timestamp=NOW, days_left=7, valid_until=NOW + timedelta(days=7)
)


def test_an_event_that_a_policy_looks_at_becomes_an_accepted_run() -> None:
    (request,) = requested_by(recorded(SOON), at=NOW)
    event = request.event
    assert isinstance(event, TaskRequested)
    assert (event.task, event.tier, event.license_id) == ("send_license_notice", "high", "lic-1")
    assert event.originator_version == SLOT_REQUESTED


def test_looking_at_the_same_event_again_gives_the_same_run_and_the_same_event_id() -> None:
    seen = recorded(SOON)
    (first,), (second,) = requested_by(seen, at=NOW), requested_by(seen, at=NOW + timedelta(hours=1))
    assert first.event.originator_id == second.event.originator_id
    assert first.event_id == second.event_id


def test_another_event_gives_another_run() -> None:
    (first,), (second,) = (requested_by(recorded(SOON), at=NOW) for _ in range(2))
    assert first.event.originator_id != second.event.originator_id
    assert first.event_id != second.event_id


def test_the_run_is_accepted_now_and_not_when_its_cause_occurred() -> None:
    later = NOW + timedelta(days=3)
    (request,) = requested_by(recorded(SOON), at=later)
    assert request.event.timestamp == later.astimezone(UTC)


def test_the_run_belongs_to_the_story_of_the_event() -> None:
    event_id = uuid4()
    seen = recorded(SOON, event_id=event_id, correlation_id="story", traceparent="00-a-b-01", tenant="t1")
    (request,) = requested_by(seen, at=NOW)
    assert request.metadata == {
        "causation_id": str(event_id),
        "correlation_id": "story",
        "actor": "policy:tell_the_holder",
        "traceparent": "00-a-b-01",
        "tenant": "t1",
    }


def test_an_event_without_a_policy_asks_for_nothing() -> None:
    suspended = LicenseSuspended(originator_id="license-l", originator_version=2, timestamp=NOW, reason="unpaid")
    assert requested_by(recorded(suspended), at=NOW) == []


WINDOW = timedelta(minutes=15)


def failed(run_id: str, *, minutes: float, task: str = "pay") -> TaskEvent:
    told = {"task": task, "attempt": 1, "error_type": "E", "error": "e", "critical": True}
    return task_event("task.failed", run_id, at=NOW + timedelta(minutes=minutes), data=told)


def test_all_failures_of_a_task_in_one_window_ask_for_one_alert() -> None:
    alerts = [
        requested_by(recorded(failed(run, minutes=minutes)), at=NOW, window=WINDOW)
        for run, minutes in (("R1", 0), ("R2", 14.9), ("R3", 15))
    ]
    first, second, third = (alert for (alert,) in alerts)
    assert (first.event.originator_id, first.event_id) == (second.event.originator_id, second.event_id)
    assert first.event.originator_id != third.event.originator_id
    (other,) = requested_by(recorded(failed("R4", minutes=0, task="print")), at=NOW, window=WINDOW)
    assert other.event.originator_id != first.event.originator_id
    assert isinstance(third.event, TaskRequested)
    assert third.event.kwargs["window_start"] == (NOW + WINDOW).isoformat()


def test_without_an_address_and_for_old_news_no_alert_is_asked_for() -> None:
    seen = recorded(failed("R1", minutes=0))
    assert requested_by(seen, at=NOW) == []
    assert requested_by(seen, at=NOW + timedelta(hours=25), window=WINDOW) == []
