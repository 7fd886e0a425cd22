"""When the priority of a waiting run may be raised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.refusal import Refusal
from domain.run import PriorityAlreadyRaised, RunNotWaiting, TaskRun
from domain.task_run import SLOT_COPIES, TaskEvent, TaskRequested, run_stream, task_event

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = UUID("0192d7a5-0000-7000-8000-000000000001")
REQUESTED = TaskRequested(originator_id=run_stream(RUN), originator_version=1, timestamp=NOW, task="bill")


def told(name: str, **data: Any) -> TaskEvent:
    return task_event(f"task.{name}", RUN, at=NOW, data={"task": "bill", **data})


PUBLISHED = told("published", queue="tasks.normal", priority=1)


def copy(number: int, reason: str) -> TaskEvent:
    return told("republished", copy=number, attempt=1, reason=reason)


def test_a_run_that_waits_in_its_queue_is_raised_by_another_copy() -> None:
    fact = TaskRun.fold([REQUESTED, PUBLISHED]).raise_priority(queue="tasks.normal", to=5, at=NOW)
    assert (fact.copy, fact.attempt, fact.reason, fact.priority) == (1, 1, "starving", 5)
    assert fact.originator_version == SLOT_COPIES + 1


def test_a_copy_for_another_reason_does_not_stand_against_it() -> None:
    fact = TaskRun.fold([REQUESTED, PUBLISHED, copy(4, "missing")]).raise_priority(queue="q", to=5, at=NOW)
    assert fact.copy == 5


@pytest.mark.parametrize(
    ("story", "refusal"),
    [
        ([REQUESTED], RunNotWaiting),
        ([REQUESTED, PUBLISHED, told("started", attempt=1)], RunNotWaiting),
        ([REQUESTED, PUBLISHED, told("succeeded", attempt=1)], RunNotWaiting),
        ([REQUESTED, PUBLISHED, copy(1, "starving")], PriorityAlreadyRaised),
    ],
    ids=["not published", "begun", "ended", "raised already"],
)
def test_no_other_run_is_raised(story: list[TaskEvent], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        TaskRun.fold(story).raise_priority(queue="tasks.normal", to=5, at=NOW)
