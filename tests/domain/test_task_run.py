from __future__ import annotations

import itertools
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from domain.aggregate import UnknownEventError
from domain.dead_letter import SLOT_DECISIONS
from domain.run import RunState, TaskRun
from domain.task_run import (
    LAST_ATTEMPT,
    LAST_COPY,
    SLOT_COPIES,
    SLOT_DEAD_LETTERED,
    SLOT_END,
    HoldReason,
    TaskEvent,
    order_of,
    task_event,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RUN = UUID("01900000-0000-7000-8000-000000000001")


def event(name: str, **data: object) -> TaskEvent:
    return task_event(name, RUN, at=NOW, data={"task": "sample.work", **data})


ERROR = {"error_type": "ValueError", "error": "no address"}


def test_two_ends_of_one_run_want_the_same_slot() -> None:
    ended = event("task.succeeded", attempt=2)
    failed = event("task.failed", attempt=3, **ERROR)
    assert ended.originator_version == failed.originator_version == SLOT_END


def test_every_phase_of_every_attempt_has_a_slot_of_its_own() -> None:
    slots = [
        event(name, attempt=attempt, **extra).originator_version
        for attempt in (1, 2, 3)
        for name, extra in (
            ("task.received", {}),
            ("task.started", {}),
            ("task.retry_scheduled", {"spent_by": "exception", "delay_seconds": 1.0, **ERROR}),
            ("task.outcome_ignored", {"outcome": "task.failed"}),
        )
    ]
    assert slots == sorted(set(slots))


def test_a_wait_is_what_an_attempt_came_to_and_it_has_one_end() -> None:
    message = {"body": "[]", "size_bytes": 2}
    began = event("task.wait_began", attempt=1, terms={"event": "license.renewed"}, message=message)
    satisfied, late = event("task.wait_satisfied", attempt=1), event("task.wait_timed_out", attempt=1, until=NOW)
    assert satisfied.originator_version == late.originator_version
    story = [event("task.started", attempt=1), began]
    assert TaskRun.fold(story).state is RunState.WAITING
    assert TaskRun.fold([satisfied, *story]).state is RunState.RETRYING
    assert TaskRun.fold([satisfied, event("task.started", attempt=2), *story]).state is RunState.RUNNING
    assert TaskRun.fold(story).spared_before(2) == 1


@pytest.mark.parametrize(("reason", "is_end"), [("rejected", False), ("expired", True), ("maxlen", True)])
def test_a_dead_letter_is_the_end_only_where_the_broker_made_it(reason: str, *, is_end: bool) -> None:
    letter = event("task.dead_lettered", reason=reason)
    assert (letter.originator_version == SLOT_END) is is_end


def test_a_run_is_the_same_in_whatever_order_its_events_came() -> None:
    story = [
        event("task.requested"),
        event("task.published", queue="tasks.normal", priority=2),
        event("task.started", attempt=1),
        event("task.retry_scheduled", attempt=1, spent_by="exception", delay_seconds=1.0, **ERROR),
        event("task.started", attempt=2),
        event("task.failed", attempt=2, **ERROR),
        event("task.dead_lettered", reason="rejected"),
    ]
    runs = [TaskRun.fold(list(order)) for order in itertools.permutations(story)]
    assert {run.state for run in runs} == {RunState.FAILED}
    assert {run.attempts for run in runs} == {2}
    assert all(run.is_ended for run in runs)


@pytest.mark.parametrize(
    ("known", "state"),
    [(1, RunState.REQUESTED), (2, RunState.PUBLISHED), (3, RunState.RUNNING), (4, RunState.RETRYING)],
)
def test_a_run_that_has_not_ended_says_where_it_is(known: int, state: RunState) -> None:
    story = [
        event("task.requested"),
        event("task.published", queue="tasks.normal", priority=2),
        event("task.started", attempt=1),
        event("task.retry_scheduled", attempt=1, spent_by="worker_lost", delay_seconds=1.0, **ERROR),
    ]
    run = TaskRun.fold(story[:known])
    assert run.state is state
    assert not run.is_ended


def test_an_unknown_name_and_data_that_does_not_fit_are_told_apart() -> None:
    with pytest.raises(UnknownEventError):
        event("task.vanished")
    with pytest.raises(msgspec.ValidationError):
        event("task.started", attempt="first")


def test_a_run_knows_which_of_its_attempts_did_not_count() -> None:
    why = {"spent_by": "snooze", "delay_seconds": 1.0, **ERROR}
    run = TaskRun.fold(
        [
            event("task.retry_scheduled", attempt=1, is_spared=True, **why),
            event("task.retry_scheduled", attempt=2, **why),
            event("task.retry_scheduled", attempt=3, is_spared=True, **why),
        ]
    )
    assert [run.spared_before(attempt) for attempt in (1, 2, 3, 4)] == [0, 1, 1, 2]


def held(attempt: int, because: str) -> TaskEvent:
    return event("task.received", attempt=attempt, because=because, decided_by="suspension")


@pytest.mark.parametrize("because", ["license_suspended", "license_away"])
def test_a_hold_without_room_among_the_slots_of_its_attempt_counts_where_it_belongs(because: str) -> None:
    """Its place is beyond the end, and its order is that of what is received."""
    again = event("task.retry_scheduled", attempt=1, spent_by="exception", delay_seconds=1.0, **ERROR)
    told = [event("task.requested"), held(1, because), event("task.started", attempt=1), again, held(2, because)]
    states = [TaskRun.fold(told[: known + 1]).state for known in range(len(told))]
    assert states == [RunState.REQUESTED, RunState.HELD, RunState.RUNNING, RunState.RETRYING, RunState.HELD]
    ended = [*told, event("task.succeeded", attempt=2)]
    assert TaskRun.fold(ended[::-1]).state is RunState.SUCCEEDED


def test_every_reason_to_hold_an_attempt_has_a_slot_of_its_own() -> None:
    slots = [held(attempt, reason).originator_version for attempt in (1, 2, LAST_ATTEMPT) for reason in HoldReason]
    assert len(set(slots)) == len(slots)
    assert all(order_of(slot) < SLOT_END for slot in slots)
    later = [SLOT_END, SLOT_DEAD_LETTERED, SLOT_COPIES, SLOT_COPIES + LAST_COPY, SLOT_DECISIONS]
    assert [order_of(slot) for slot in later] == later
