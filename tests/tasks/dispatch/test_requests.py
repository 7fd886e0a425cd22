"""Policies ask for runs; asked twice, they ask for the same ones."""

from __future__ import annotations

from datetime import UTC, timedelta
from uuid import uuid4

from domain.license import LicenseExpiringSoon, LicenseSuspended
from domain.task_run import SLOT_REQUESTED, TaskRequested
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
