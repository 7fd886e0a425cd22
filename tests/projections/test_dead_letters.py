from __future__ import annotations

import pytest

from domain.aggregate import Event
from infra.event_store import Log
from tests.projections.histories import at, minted, told
from tests.projections.world import World

RUN = minted("run")
FAILED = told(RUN, "failed", 9, attempt=3, error_type="ValueError", error="no such bill")
LETTER = told(RUN, "dead_lettered", 10, reason="rejected", queue="tasks.high", priority=4)


@pytest.mark.parametrize("order", [(FAILED, LETTER), (LETTER, FAILED)])
def test_a_dead_letter_says_why_its_run_ended_whichever_is_told_first(world: World, order: tuple[Event, ...]) -> None:
    for event in order:
        world.record(Log.TASKS, event)
        world.catch_up("dead_letters")
    row = world.row("select * from analytics.fct_dead_letters")
    assert (row["reason"], row["queue"], row["priority"]) == ("rejected", "tasks.high", 4)
    assert row["dead_lettered_at"] == at(10)
    assert (row["end_state"], row["error_type"], row["error"]) == ("failed", "ValueError", "no such bill")


def test_a_run_that_failed_without_a_dead_letter_is_not_listed(world: World) -> None:
    world.record(Log.TASKS, FAILED)
    world.catch_up("dead_letters")
    assert world.rows("select * from analytics.fct_dead_letters") == []


def test_a_message_that_only_the_broker_saw_has_its_reason_and_no_error(world: World) -> None:
    world.record(Log.TASKS, told(RUN, "dead_lettered", 60, reason="maxlen", queue="tasks.low"))
    world.catch_up("dead_letters")
    row = world.row("select reason, end_state, error_type from analytics.fct_dead_letters")
    assert row == {"reason": "maxlen", "end_state": "dead_lettered", "error_type": None}
