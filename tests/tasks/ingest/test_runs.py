from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from domain.task_run import SLOT_END, TaskOutcomeIgnored, TaskRequested
from infra.cloudevents import CloudEvent
from infra.event_store import EventStore, Log
from tasks.ingest import runs
from tasks.ingest.reading import read
from tests.tasks.ingest.deliveries import NOW, delivery, told


def decided(event: CloudEvent) -> runs.Decided:
    (only,) = read([delivery(event)], limit_bytes=100_000).told
    return runs.decide(only)


def append(store: EventStore, *events: CloudEvent) -> list[str]:
    """Append in one transaction; the codes of what is refused."""
    with store.transaction() as transaction:
        return [refusal.code for _, refusal in runs.append(transaction, [decided(event) for event in events])]


def story(store: EventStore, run_id: str) -> list[tuple[str, int]]:
    events = store.load(Log.TASKS, [f"task_run-{run_id}"]).get(f"task_run-{run_id}", [])
    return [(event.TOPIC, event.originator_version) for event in events]


def test_a_request_is_accepted_under_the_id_it_asks_for() -> None:
    run_id = uuid4()
    event = decided(
        told("task.requested", task="report", kwargs={"month": 5}, tier="high", priority=3, run_id=str(run_id))
    ).event
    assert isinstance(event, TaskRequested)
    assert event.originator_id == f"task_run-{run_id}"
    assert (event.task, event.kwargs, event.tier, event.priority) == ("report", {"month": 5}, "high", 3)


def test_a_request_without_an_id_gets_the_same_one_each_time() -> None:
    event = told("task.requested", task="report")
    assert decided(event).event.originator_id == decided(event).event.originator_id
    assert decided(event).event.originator_id != decided(told("task.requested", task="report")).event.originator_id


def test_what_a_worker_reports_falls_in_its_slot() -> None:
    at = NOW + timedelta(seconds=3)
    report = told("task.started", run_id="R1", task="report", attempt=2, queue="tasks.low", worker="w1", pid=7, at=at)
    event = decided(report).event
    assert (event.originator_id, event.originator_version, event.timestamp) == ("task_run-R1", 2 * 8 + 1, at)
    assert event.data()["pid"] == 7


def test_the_same_report_twice_is_one_fact(store: EventStore) -> None:
    run_id = str(uuid4())
    report = told("task.succeeded", run_id=run_id, task="t", attempt=1, result="1")
    assert append(store, report, report) == []
    assert append(store, report) == []
    assert story(store, run_id) == [("task.succeeded", SLOT_END)]


def test_an_outcome_after_another_end_is_recorded_as_ignored_once(store: EventStore) -> None:
    run_id = str(uuid4())
    late = told("task.failed", run_id=run_id, task="t", attempt=1, error_type="E", error="e", worker="w1")
    append(store, told("task.succeeded", run_id=run_id, task="t", attempt=2))
    append(store, late)
    append(store, late)
    assert story(store, run_id) == [("task.outcome_ignored", 1 * 8 + 3), ("task.succeeded", SLOT_END)]
    ignored = store.load(Log.TASKS, [f"task_run-{run_id}"])[f"task_run-{run_id}"][0]
    assert isinstance(ignored, TaskOutcomeIgnored)
    assert (ignored.outcome, ignored.attempt, ignored.worker) == ("task.failed", 1, "w1")


def test_two_ends_in_one_batch_leave_one_and_one_ignored(store: EventStore) -> None:
    run_id = str(uuid4())
    append(
        store,
        told("task.timed_out", run_id=run_id, task="t", attempt=1, error_type="E", error="e"),
        told("task.succeeded", run_id=run_id, task="t", attempt=1),
    )
    assert story(store, run_id) == [("task.outcome_ignored", 1 * 8 + 3), ("task.timed_out", SLOT_END)]


def test_a_second_request_for_the_same_run_is_refused(store: EventStore) -> None:
    run_id = str(uuid4())
    first = told("task.requested", task="t", run_id=run_id)
    assert append(store, first) == []
    assert append(store, first) == []
    assert append(store, told("task.requested", task="t", run_id=run_id)) == ["RunAlreadyRequested"]
    assert story(store, run_id) == [("task.requested", 1)]


RETRY = {"spent_by": "redelivered", "error_type": "Redelivered", "error": "e", "delay_seconds": 0.0}


def of(run_id: str, name: str, attempt: int, **data: Any) -> CloudEvent:
    return told(f"task.{name}", run_id=run_id, task="t", attempt=attempt, **data)


def test_an_end_of_an_attempt_that_another_one_follows_is_ignored(store: EventStore) -> None:
    run_id = str(uuid4())
    late = of(run_id, "succeeded", 1, worker="w1")
    append(store, of(run_id, "started", 1), of(run_id, "retry_scheduled", 1, **RETRY))
    append(store, late)
    append(store, late, of(run_id, "started", 2), of(run_id, "succeeded", 2))
    assert story(store, run_id) == [
        ("task.started", 9),
        ("task.retry_scheduled", 10),
        ("task.outcome_ignored", 11),
        ("task.started", 17),
        ("task.succeeded", SLOT_END),
    ]
    end = store.load(Log.TASKS, [f"task_run-{run_id}"])[f"task_run-{run_id}"][-1]
    assert end.data()["attempt"] == 2


def test_an_end_of_an_attempt_after_a_later_one_has_begun_is_ignored(store: EventStore) -> None:
    run_id = str(uuid4())
    append(store, of(run_id, "started", 2))
    append(store, of(run_id, "failed", 1, error_type="E", error="e"))
    assert story(store, run_id) == [("task.outcome_ignored", 11), ("task.started", 17)]


def test_within_one_batch_what_arrives_first_counts(store: EventStore) -> None:
    first, second = str(uuid4()), str(uuid4())
    append(store, of(first, "retry_scheduled", 1, **RETRY), of(first, "succeeded", 1))
    append(store, of(second, "succeeded", 1), of(second, "retry_scheduled", 1, **RETRY))
    assert story(store, first) == [("task.retry_scheduled", 10), ("task.outcome_ignored", 11)]
    assert story(store, second) == [("task.retry_scheduled", 10), ("task.succeeded", SLOT_END)]


def test_an_end_that_counted_is_only_a_repeat_once_a_later_attempt_has_begun(store: EventStore) -> None:
    run_id = str(uuid4())
    end, later = of(run_id, "succeeded", 1), of(run_id, "started", 2)
    append(store, end)
    append(store, later, end)
    append(store, end)
    assert story(store, run_id) == [("task.started", 17), ("task.succeeded", SLOT_END)]


def test_a_second_wish_for_another_attempt_is_ignored(store: EventStore) -> None:
    run_id = str(uuid4())
    wish = of(run_id, "retry_scheduled", 1, **{**RETRY, "spent_by": "exception"})
    append(store, of(run_id, "retry_scheduled", 1, **RETRY))
    append(store, wish)
    append(store, wish)
    assert story(store, run_id) == [("task.retry_scheduled", 10), ("task.outcome_ignored", 11)]


def test_of_two_ingests_at_the_same_moment_one_end_is_left(store: EventStore) -> None:
    run_id = str(uuid4())
    with store.transaction() as transaction:
        runs.append(transaction, [decided(of(run_id, "retry_scheduled", 1, **RETRY))])
        append(store, of(run_id, "succeeded", 1))
    append(store, of(run_id, "failed", 2, error_type="E", error="e"))
    ends = [event for event in story(store, run_id) if event[1] == SLOT_END]
    assert ends == [("task.succeeded", SLOT_END)]
    assert ("task.outcome_ignored", 19) in story(store, run_id)
