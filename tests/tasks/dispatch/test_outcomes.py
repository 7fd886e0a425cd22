"""What dispatch records, and how it reads what others recorded before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from domain.run import RunState, TaskRun
from domain.task_run import SLOT_END, SLOT_PUBLISHED, TaskEvent, task_event
from infra.event_store import Unreadable
from tasks.dispatch.outcomes import Evidence, evidence, published, rejected, unreadable
from tests.tasks.dispatch.recorded import NOW, recorded, requested

RUN = uuid4()


def event(name: str, **data: Any) -> TaskEvent:
    return task_event(name, RUN, at=NOW, data={"task": "a.task", **data})


def test_a_publication_is_recorded_once_however_often_it_is_confirmed() -> None:
    run = recorded(requested(), correlation_id="story")
    first = published(run, queue="tasks.high", priority=4, at=NOW)
    second = published(run, queue="tasks.high", priority=4, at=NOW + timedelta(seconds=9))
    assert first.event_id == second.event_id
    assert first.event.originator_version == second.event.originator_version == SLOT_PUBLISHED
    assert first.metadata["correlation_id"] == "story"


def test_a_run_that_no_broker_could_carry_ends_rejected() -> None:
    run = recorded(requested())
    end = rejected(run, reason="task name: 256 bytes", at=NOW)
    assert isinstance(run.event, TaskEvent)
    assert isinstance(end.event, TaskEvent)
    folded = TaskRun.fold([run.event, end.event])
    assert (folded.state, folded.is_ended) == (RunState.REJECTED, True)
    assert end.event.originator_version == SLOT_END


def test_a_run_that_nobody_can_read_ends_rejected_with_the_reason() -> None:
    row = Unreadable(position=7, stream_id=f"task_run-{RUN}", name="task.requested", reason="no field `task`")
    end = unreadable(row, at=NOW)
    assert (end.event.originator_id, end.event.originator_version) == (row.stream_id, SLOT_END)
    assert end.event.data()["error"] == "no field `task`"
    assert end.event_id == unreadable(row, at=NOW + timedelta(hours=1)).event_id


def test_a_run_of_which_only_the_acceptance_is_known_has_to_be_published() -> None:
    assert evidence([]) is Evidence.NONE
    assert evidence([event("task.requested")]) is Evidence.NONE


def test_a_published_run_is_settled() -> None:
    run = [event("task.requested"), event("task.published", queue="tasks.low", priority=1)]
    assert evidence(run) is Evidence.SETTLED
    assert evidence([*run, event("task.started", attempt=1, worker="w1")]) is Evidence.SETTLED


def test_a_run_that_a_worker_has_had_was_published() -> None:
    assert evidence([event("task.requested"), event("task.started", attempt=1, worker="w1")]) is Evidence.SEEN
    assert evidence([event("task.requested"), event("task.succeeded", attempt=1, worker="w1")]) is Evidence.SEEN


def test_a_run_that_ended_before_any_worker_had_it_is_not_published_any_more() -> None:
    revoked = event("task.revoked", attempt=1, error_type="Revoked", error="by ada")
    assert evidence([event("task.requested"), revoked]) is Evidence.SETTLED
