"""Facts of the licensing log become accepted runs, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.cause import Cause, derived_run_id
from domain.license import License
from domain.task_run import TaskRequested, task_event
from infra.event_store import CheckpointMovedError, EventStore, Log, NewEvent, Recorded, caused
from tasks.dispatch.policies import PolicyFollower

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def expire_a_license(store: EventStore) -> None:
    """A license whose three notices and whose end have come: four facts that policies look at, and its issue."""
    issued = License.issue(f"lic-{uuid4()}", valid_until=NOW, at=NOW - timedelta(days=90))
    issued.judge_term(now=NOW)
    cause = Cause(id=uuid4(), at=NOW, actor="test", correlation_id="story")
    events = [NewEvent(event, uuid4(), cause.metadata()) for event in issued.collect_events()]  # type: ignore[arg-type]
    store.append(Log.LICENSING, events)


def follower(store: EventStore, *, page_events: int = 100) -> PolicyFollower:
    made = PolicyFollower(store, clock=lambda: NOW, page_events=page_events)
    made.take_over()
    return made


def accepted(store: EventStore) -> list[Recorded]:
    return store.read(Log.TASKS, after=0, limit=1000).events


def test_each_fact_that_a_policy_looks_at_becomes_one_accepted_run(store: EventStore) -> None:
    expire_a_license(store)
    policies = follower(store)
    assert policies.step()
    assert not policies.step()
    runs = [recorded.event for recorded in accepted(store)]
    assert [run.kwargs["days_left"] for run in runs if isinstance(run, TaskRequested)] == [30, 7, 1, 0]


def test_the_run_id_derives_from_the_fact(store: EventStore) -> None:
    expire_a_license(store)
    follower(store).step()
    facts = store.read(Log.LICENSING, after=0, limit=100, names=("license.expiring_soon", "license.expired")).events
    ids = [derived_run_id(fact.event_id, "tell_the_holder", fact.event.timestamp) for fact in facts]
    assert [recorded.event.originator_id for recorded in accepted(store)] == [f"task_run-{run}" for run in ids]
    assert {recorded.metadata["correlation_id"] for recorded in accepted(store)} == {"story"}


def test_looked_at_all_over_again_the_log_gives_no_second_run(store: EventStore) -> None:
    expire_a_license(store)
    policies = follower(store)
    policies.step()
    before = accepted(store)
    policies.place.position = 0
    with pytest.raises(CheckpointMovedError):  # a follower that has forgotten its checkpoint is stopped by it …
        follower_without_checkpoint(store).step()
    with store.transaction() as transaction:  # … and one whose checkpoint is lost finds every run accepted
        transaction.connection.execute("delete from event_store.checkpoints")
    again = follower(store)
    assert again.step()
    assert accepted(store) == before


def follower_without_checkpoint(store: EventStore) -> PolicyFollower:
    return PolicyFollower(store, clock=lambda: NOW, page_events=100)


def test_pages_are_followed_to_the_end(store: EventStore) -> None:
    for _ in range(3):
        expire_a_license(store)
    policies = follower(store, page_events=5)
    while policies.step():
        pass
    assert len(accepted(store)) == 12


def test_the_place_in_a_log_without_work_is_noted_for_those_who_watch_the_lag(store: EventStore) -> None:
    issued = License.issue("lic-1", valid_until=NOW + timedelta(days=365), at=NOW)
    events = [NewEvent(event, uuid4(), {}) for event in issued.collect_events()]  # type: ignore[arg-type]
    store.append(Log.LICENSING, events)
    policies = follower(store)
    assert not policies.step()
    policies.note_position()
    assert follower(store).place.position == store.safe_position(Log.LICENSING) > 0


def test_ten_failures_of_a_critical_task_become_one_accepted_alert_however_pages_are_cut(store: EventStore) -> None:
    for number in range(10):
        told = {"task": "pay", "attempt": 1, "error_type": "E", "error": f"number {number}", "critical": True}
        failed = task_event("task.failed", str(uuid4()), at=NOW + timedelta(seconds=number), data=told)
        store.append(Log.TASKS, caused([failed], Cause(id=uuid4(), at=NOW, actor="test")))
    alerting = PolicyFollower(
        store, clock=lambda: NOW, page_events=3, log=Log.TASKS, alert_window=timedelta(minutes=15)
    )
    alerting.take_over()
    while alerting.step():
        pass
    (alert,) = [recorded.event for recorded in accepted(store) if isinstance(recorded.event, TaskRequested)]
    assert (alert.task, alert.kwargs["error"]) == ("send_failure_alert", "number 0")


def test_without_an_address_the_log_is_followed_and_nobody_is_told(store: EventStore) -> None:
    told = {"task": "pay", "attempt": 1, "error_type": "E", "error": "e", "critical": True}
    failed = task_event("task.failed", str(uuid4()), at=NOW, data=told)
    store.append(Log.TASKS, caused([failed], Cause(id=uuid4(), at=NOW, actor="test")))
    silent = PolicyFollower(store, clock=lambda: NOW, page_events=3, log=Log.TASKS)
    silent.take_over()
    while silent.step():
        pass
    assert silent.place.position == store.safe_position(Log.TASKS)
    assert [recorded.event.name for recorded in accepted(store)] == ["task.failed"]
