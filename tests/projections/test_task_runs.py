from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.run import TaskRun
from domain.task_run import TaskEvent
from infra.event_store import Log
from projections.task_runs import RunRow, TaskRuns, trace_id
from tests.projections.histories import TRACE_ID, History, at, minted, recorded, requested, told
from tests.projections.world import World

RUN = minted("run")


def folded(*events: Event, **metadata: str) -> RunRow:
    row = RunRow(str(RUN))
    for each in recorded(events, **metadata):
        TaskRuns().fold(row, each)
    return row


def test_a_requested_run_waits_in_the_tier_and_with_the_priority_it_asked_for() -> None:
    row = folded(requested(RUN, tier="low", priority=9, license_id="l1"), correlation_id="story")
    assert (row.state, row.accepted_by, row.accepted_at) == ("requested", "requested", at(0))
    assert (row.tier, row.priority, row.license_id, row.correlation_id) == ("low", 2, "l1", "story")


def test_a_call_that_nobody_asked_us_for_is_accepted_by_the_first_thing_seen_of_it() -> None:
    row = folded(
        told(RUN, "succeeded", 9, attempt=1, worker="w", queue="tasks.high"),
        told(RUN, "started", 5, attempt=1, worker="w", queue="tasks.high"),
    )
    assert (row.accepted_by, row.accepted_at, row.tier, row.state) == ("observed", at(5), "high", "succeeded")


def test_a_queue_of_no_tier_leaves_the_tier_open() -> None:
    row = folded(told(RUN, "started", attempt=1, queue="celery"))
    assert (row.queue, row.tier) == ("celery", None)


def test_that_somebody_asked_for_a_revocation_is_told_and_changes_no_state() -> None:
    asked = told(RUN, "revocation_requested", 3, reason="ordered twice")
    row = folded(requested(RUN), told(RUN, "started", 2, attempt=1), asked, actor="pat")
    assert (row.state, row.revocation_requested_at) == ("running", at(3))
    assert (row.revocation_requested_by, row.revocation_reason) == ("pat", "ordered twice")


def test_a_run_that_succeeds_at_the_second_attempt_forgets_the_error_of_the_first() -> None:
    why = {"spent_by": "exception", "error_type": "OSError", "error": "busy", "delay_seconds": 2.0}
    retrying = [requested(RUN), told(RUN, "started", 1, attempt=1), told(RUN, "retry_scheduled", 2, attempt=1, **why)]
    row = folded(*retrying)
    assert (row.state, row.error_type, row.attempts) == ("retrying", "OSError", 1)
    row = folded(
        *retrying,
        told(RUN, "started", 5, attempt=2, worker="w2"),
        told(RUN, "succeeded", 6, attempt=2, worker="w2", result="42"),
    )
    assert (row.state, row.error_type, row.error, row.result, row.attempts) == ("succeeded", None, None, "42", 2)
    assert (row.first_started_at, row.started_at, row.ended_at, row.worker) == (at(1), at(5), at(6), "w2")


def test_an_outcome_after_the_end_changes_nothing_but_the_attempts() -> None:
    failure = {"attempt": 2, "error_type": "ValueError", "error": "no"}
    row = folded(told(RUN, "failed", 9, **failure), told(RUN, "outcome_ignored", 10, attempt=1, outcome="succeeded"))
    assert (row.state, row.ended_at, row.attempts) == ("failed", at(9), 2)


def test_a_rejected_message_in_the_dead_letter_queue_leaves_the_end_as_it_was() -> None:
    failure = {"attempt": 1, "error_type": "ValueError", "error": "no"}
    row = folded(told(RUN, "dead_lettered", 10, reason="rejected"), told(RUN, "failed", 9, **failure))
    assert (row.state, row.ended_at, row.error) == ("failed", at(9), "no")


def test_a_message_that_the_broker_dead_lettered_ends_the_run() -> None:
    row = folded(requested(RUN), told(RUN, "dead_lettered", 60, reason="expired", queue="tasks.normal"))
    assert (row.state, row.ended_at) == ("dead_lettered", at(60))


@pytest.mark.parametrize(
    ("traceparent", "expected"),
    [
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01", TRACE_ID),
        ("00-short-00f067aa0ba902b7-01", None),
        (None, None),
        (7, None),
    ],
)
def test_a_run_names_its_trace_where_it_has_one(traceparent: object, expected: str | None) -> None:
    assert trace_id(traceparent) == expected


@given(seed=st.integers(0, 2**32), order=st.randoms(use_true_random=False))
def test_the_order_in_which_a_runs_events_arrive_does_not_matter(seed: int, order: random.Random) -> None:
    events = _task_events(seed)
    shuffled = list(events)
    order.shuffle(shuffled)
    assert _all_runs(shuffled) == _all_runs(events)


@given(seed=st.integers(0, 2**32))
def test_a_run_is_in_the_state_that_the_domain_says(seed: int) -> None:
    runs: dict[str, list[TaskEvent]] = {}
    for event in _task_events(seed):
        runs.setdefault(event.originator_id, []).append(event)
    rows = _all_runs([event for events in runs.values() for event in events])
    for stream_id, events in runs.items():
        expected, row = TaskRun.fold(events), rows[stream_id]
        assert (row.state, row.attempts, row.task) == (expected.state.value, expected.attempts, expected.task)
        assert (row.ended_at is not None) == expected.state.is_end


def test_waiting_and_running_are_measured_in_seconds(world: World) -> None:
    world.record(
        Log.TASKS,
        requested(RUN),
        told(RUN, "published", 1, queue="tasks.normal", priority=2),
        told(RUN, "started", 3, attempt=1, queue="tasks.normal", worker="w", priority=2),
        told(RUN, "succeeded", 8, attempt=1, queue="tasks.normal", worker="w", result='"ok"'),
        traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01",
    )
    world.catch_up("task_runs")
    row = world.row("select * from analytics.fct_task_runs")
    assert (row["wait_seconds"], row["run_seconds"]) == (3, 5)
    assert (row["published_at"], row["trace_id"], row["result"], row["is_ended"]) == (at(1), TRACE_ID, '"ok"', True)


def test_what_the_worker_measured_counts_more_than_the_difference_of_two_clocks(world: World) -> None:
    world.record(
        Log.TASKS, told(RUN, "started", 3, attempt=1), told(RUN, "succeeded", 8, attempt=1, runtime_seconds=4.5)
    )
    world.catch_up("task_runs")
    assert world.row("select run_seconds from analytics.fct_task_runs") == {"run_seconds": 4.5}


def _task_events(seed: int) -> list[TaskEvent]:
    """What a history tells of runs; the same log tells of batches of replays, too."""
    return [event for event in History(seed, size=6).events[Log.TASKS] if isinstance(event, TaskEvent)]


def _all_runs(events: list[Any]) -> dict[str, RunRow]:
    rows: dict[str, RunRow] = {}
    for event in events:
        row = rows.setdefault(event.originator_id, RunRow(event.originator_id))
        for each in recorded([event]):
            TaskRuns().fold(row, each)
    return rows
