"""Whoever has a row of a run, an attempt, a dead letter or an event can look at its trace."""

from __future__ import annotations

from typing import Any

import pytest

from domain.ingest import MessageDeadLettered
from infra.event_store import Log
from infra.tracing import Context, Story, ids
from tests.projections.histories import TRACE_ID, History, at, minted, requested, told
from tests.projections.world import World

OTHER = "ab" * 16
SPAN = "00f067aa0ba902b7"
RUN = minted("run")
BEGAN: dict[str, Any] = {"attempt": 1, "received_at": at(1)}
RETRY: dict[str, Any] = {"spent_by": "exception", "error_type": "OSError", "error": "busy", "delay_seconds": 900.0}
FAILED: dict[str, Any] = {"attempt": 2, "error_type": "OSError", "error": "busy"}


def traceparent(trace: str) -> str:
    return f"00-{trace}-{SPAN}-01"


def traces(world: World, view: str) -> list[str]:
    return [row["trace_id"] for row in world.rows(f"select * from analytics.{view} order by 1, 2")]  # noqa: S608


def died(world: World, **metadata: str) -> None:
    """A run that dies of its second attempt and is replayed."""
    events = [
        requested(RUN),
        told(RUN, "started", 2, **BEGAN),
        told(RUN, "retry_scheduled", 3, attempt=1, **RETRY),
        told(RUN, "revocation_requested", 3, reason="ordered twice"),
        told(RUN, "failed", 950, **FAILED),
        told(RUN, "dead_lettered", 951, reason="rejected"),
        told(
            *(RUN, "letter_replayed", 960),
            number=1,
            reason="up again",
            replay_id="b",
            new_run_id=str(minted("new")),
            generation=1,
        ),
        requested(minted("new"), 960, replay_of=str(RUN)),
    ]
    world.record(Log.TASKS, *events, **metadata)
    world.catch_up()


FACT_VIEWS = ("fct_license_changes", "fct_seat_denials", "fct_folded_requests")
RUN_VIEWS = (
    *("fct_task_runs", "fct_task_attempts", "fct_task_waits", "fct_dead_letters", "fct_replayed_runs"),
    *("fct_revocations", "fct_accepted_runs", "fct_events"),
)


@pytest.mark.parametrize("view", RUN_VIEWS)
def test_a_row_names_the_trace_that_it_was_told(world: World, view: str) -> None:
    died(world, correlation_id="order 7", traceparent=traceparent(TRACE_ID))
    assert set(traces(world, view)) == {TRACE_ID}


@pytest.mark.parametrize("view", RUN_VIEWS)
def test_a_row_that_was_told_none_names_the_trace_that_spans_of_its_story_are_in(world: World, view: str) -> None:
    died(world, correlation_id="order 7")
    assert set(traces(world, view)) == {ids.trace_id("order 7")}


def test_an_attempt_that_came_much_later_and_its_dead_letter_are_in_the_trace_that_it_began(world: World) -> None:
    world.record(Log.TASKS, requested(RUN), told(RUN, "started", 2, **BEGAN), correlation_id="order 7")
    world.record(
        Log.TASKS,
        *(told(RUN, "started", 940, attempt=2), told(RUN, "failed", 950, **FAILED)),
        told(RUN, "dead_lettered", 951, reason="rejected"),
        correlation_id="order 7",
        traceparent=traceparent(OTHER),
    )
    world.catch_up()
    assert traces(world, "fct_task_runs") == [ids.trace_id("order 7")]
    assert traces(world, "fct_task_attempts") == [ids.trace_id("order 7"), OTHER]
    assert traces(world, "fct_dead_letters") == [OTHER]


def test_a_message_that_was_put_aside_names_its_trace_all_the_same(world: World) -> None:
    unread, read = (
        MessageDeadLettered.record(minted(name), reason="invalid", detail="no id", at=at(1)) for name in ("m1", "m2")
    )
    world.record(Log.LICENSING, unread, correlation_id=str(minted("m1")))
    world.record(Log.LICENSING, read, correlation_id=str(minted("m2")), traceparent=traceparent(TRACE_ID))
    world.catch_up()
    assert set(traces(world, "fct_ingest_dead_letters")) == {ids.trace_id(str(minted("m1"))), TRACE_ID}


@pytest.mark.parametrize("view", FACT_VIEWS)
def test_a_fact_of_a_license_names_the_trace_that_it_was_told(world: World, view: str) -> None:
    facts = History(3, size=20).events[Log.LICENSING]
    world.record(Log.LICENSING, *facts, correlation_id="order 7", traceparent=traceparent(TRACE_ID))
    world.catch_up()
    assert set(traces(world, view)) == {TRACE_ID}


def test_no_row_of_a_story_is_without_a_trace(world: World) -> None:
    for log, events in History(3, size=20).chunks():
        world.store.append(log, events)
    world.catch_up()
    views = [
        row["view"]
        for row in world.rows("""
        select table_name as view from information_schema.columns
        where table_schema = 'analytics' and column_name = 'trace_id'""")
    ]
    assert {*RUN_VIEWS, *FACT_VIEWS, "fct_ingest_dead_letters", "fct_flow_changes", "fct_notices"} <= set(views)
    for view in {*views} - {"fct_flow_changes", "fct_replayed_runs", "fct_notices", "fct_priority_inversions"}:
        found = traces(world, view)
        assert found, view
        assert None not in found, view


@pytest.mark.parametrize(
    "told_as",
    [
        None,
        "",
        "none",
        traceparent(TRACE_ID),
        traceparent(TRACE_ID)[:-3],
        f"{traceparent(TRACE_ID)}-more",
        f"{traceparent(TRACE_ID)}more",
        f"cc{traceparent(TRACE_ID)[2:]}",
        f"ff{traceparent(TRACE_ID)[2:]}",
        traceparent(TRACE_ID.upper()),
        traceparent("0" * 32),
        f"00-{TRACE_ID}-{'0' * 16}-01",
    ],
)
def test_sql_finds_the_trace_that_spans_are_sent_with(world: World, told_as: str | None) -> None:
    said = world.row("select analytics.trace_id(%(told)s, 'order 7') as trace_id", told=told_as)["trace_id"]
    assert said == Story.of(told_as, "order 7", ratio=1.0).trace_id
    assert (said == TRACE_ID) == (Context.read(told_as) is not None)
