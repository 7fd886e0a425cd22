from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.task_run import AttemptEvent
from infra.event_store import Log
from projections.task_attempts import AttemptRow, TaskAttempts
from tests.projections.histories import TRACE_ID, History, at, minted, recorded, told
from tests.projections.world import World

RUN = minted("run")
RETRY: dict[str, Any] = {"spent_by": "worker_lost", "error_type": "WorkerLostError", "error": "9", "delay_seconds": 4.0}


def folded(*events: Event) -> dict[tuple[str, int], AttemptRow]:
    rows: dict[tuple[str, int], AttemptRow] = {}
    projection = TaskAttempts()
    for each in recorded(events):
        key = projection.key(each.event)
        projection.fold(rows.setdefault(key, AttemptRow(*key)), each)
    return rows


def only(*events: Event) -> AttemptRow:
    (row,) = folded(*events).values()
    return row


def test_an_attempt_that_is_under_way_is_running() -> None:
    row = only(told(RUN, "started", 3, attempt=1, received_at=at(2), pid=77, code_version="abc", worker="w"))
    assert (row.outcome, row.received_at, row.started_at, row.ended_at) == ("running", at(2), at(3), None)
    assert (row.pid, row.code_version, row.worker) == (77, "abc", "w")


def test_an_attempt_names_its_trace() -> None:
    events = [told(RUN, "started", 3, attempt=1)]
    (started,) = recorded(events, traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01")
    row = AttemptRow(str(RUN), 1)
    TaskAttempts().fold(row, started)
    assert row.trace_id == TRACE_ID


def test_the_code_that_ran_counts_more_than_that_of_whoever_says_why_it_ended() -> None:
    events = [told(RUN, "started", 3, attempt=1, code_version="a")]
    spent = {**RETRY, "code_version": "b"}
    events.append(told(RUN, "retry_scheduled", 9, attempt=1, **spent))
    assert [only(*events).code_version, only(*reversed(events)).code_version] == ["a", "a"]
    assert only(events[1]).code_version == "b"


def test_an_attempt_that_waits_in_a_worker_for_its_time_is_held() -> None:
    assert only(told(RUN, "received", 1, attempt=1, eta=at(60))).outcome == "held"


def test_an_attempt_names_the_events_of_its_license_that_decided_about_it() -> None:
    events = [
        told(RUN, "received", 1, attempt=1, because="license_suspended", decided_by="suspended"),
        told(RUN, "started", 3, attempt=1, admitted_by="reinstated"),
        told(RUN, "revoked", 5, attempt=1, error_type="LicenseRevoked", error="no", decided_by="revoked"),
    ]
    for order in (events, events[::-1]):
        row = only(*order)
        assert (row.deferred_by, row.admitted_by, row.turned_away_by) == ("suspended", "reinstated", "revoked")
        assert row.outcome == "revoked"


def test_a_spent_attempt_says_what_spent_it_and_how_long_the_next_one_waits() -> None:
    row = only(told(RUN, "retry_scheduled", 9, attempt=1, **RETRY), told(RUN, "started", 3, attempt=1))
    assert (row.outcome, row.spent_by, row.delay_seconds, row.ended_at) == (
        "retry_scheduled",
        "worker_lost",
        4.0,
        at(9),
    )


def test_a_late_outcome_of_a_superseded_attempt_is_noted_beside_what_became_of_it() -> None:
    row = only(
        told(RUN, "outcome_ignored", 30, attempt=1, outcome="succeeded"),
        told(RUN, "retry_scheduled", 9, attempt=1, **RETRY),
    )
    assert (row.outcome, row.ended_at, row.ignored_outcome) == ("retry_scheduled", at(9), "succeeded")


def test_an_attempt_that_was_spared_says_so() -> None:
    snoozed = told(RUN, "retry_scheduled", 9, attempt=1, **{**RETRY, "spent_by": "snooze", "is_spared": True})
    row = only(told(RUN, "started", 3, attempt=1), snoozed)
    assert (row.spent_by, row.is_spared) == ("snooze", True)
    assert not only(told(RUN, "retry_scheduled", 9, attempt=1, **RETRY)).is_spared


def test_an_attempt_that_only_reported_after_the_end_is_ignored() -> None:
    row = only(told(RUN, "outcome_ignored", 30, attempt=1, outcome="failed"), told(RUN, "started", 3, attempt=1))
    assert (row.outcome, row.ignored_outcome) == ("ignored", "failed")


def test_the_end_of_the_run_is_the_outcome_of_its_last_attempt_only() -> None:
    rows = folded(
        told(RUN, "timed_out", 99, attempt=2, error_type="TimeLimitExceeded", error="60 s", runtime_seconds=60.1),
        told(RUN, "retry_scheduled", 9, attempt=1, **RETRY),
    )
    assert {key[1]: row.outcome for key, row in rows.items()} == {1: "retry_scheduled", 2: "timed_out"}


@given(seed=st.integers(0, 2**32), order=st.randoms(use_true_random=False))
def test_the_order_in_which_events_arrive_does_not_matter(seed: int, order: random.Random) -> None:
    events = [event for event in History(seed, size=6).events[Log.TASKS] if isinstance(event, AttemptEvent)]
    shuffled = list(events)
    order.shuffle(shuffled)
    assert folded(*shuffled) == folded(*events)


def test_every_attempt_is_a_row_in_the_view(world: World) -> None:
    world.record(
        Log.TASKS,
        told(RUN, "started", 3, attempt=1, pid=7),
        told(RUN, "retry_scheduled", 9, attempt=1, is_spared=True, **RETRY),
        told(RUN, "started", 13, attempt=2, pid=8),
    )
    world.catch_up("task_attempts")
    rows = world.rows(
        "select attempt, outcome, pid, ended_at, is_spared from analytics.fct_task_attempts order by attempt"
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, "retry_scheduled", 7, at(9), True),
        (2, "running", 8, None, False),
    ]
