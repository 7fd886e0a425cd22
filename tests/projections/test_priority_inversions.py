"""Which runs waited while a less urgent one of their queue began."""

from __future__ import annotations

from typing import Any

import pytest

from domain.aggregate import Event
from infra.event_store import Log
from tests.projections.histories import at, minted, requested, told
from tests.projections.world import World

ALL = "select * from analytics.fct_priority_inversions order by run_id"


def run(
    name: str, priority: int, *, published: float, started: float | None, received: float | None = None, **data: Any
) -> list[Event]:
    """A run with its first start; it was received a moment before that where nothing else is said."""
    run_id, queue = minted(name), data.get("queue", "tasks.normal")
    story: list[Event] = [
        requested(run_id, priority=priority),
        told(run_id, "published", published, queue=queue, priority=priority),
    ]
    if started is not None:
        taken_at = at(started - 0.001 if received is None else received)
        told_of = {"attempt": 1, "priority": priority, "queue": queue, "worker": "w", "received_at": taken_at}
        story.append(told(run_id, "started", started, **told_of))
    return story


def inversions(world: World, *runs: list[Event]) -> list[dict[str, Any]]:
    world.record(Log.TASKS, *[event for each in runs for event in each])
    world.catch_up("task_runs", "task_attempts")
    return world.rows(ALL)


def test_a_run_that_waited_while_a_less_urgent_one_began_is_listed_with_the_first_of_those(world: World) -> None:
    (found,) = inversions(
        world,
        run("urgent", 4, published=10, started=20),
        run("later", 1, published=1, started=15),
        run("first", 1, published=1, started=12),
    )
    assert (found["run_id"], found["lower_run_id"]) == (str(minted("urgent")), str(minted("first")))
    assert (found["priority"], found["lower_priority"], found["inverted_seconds"]) == (4, 1, 8.0)


@pytest.mark.parametrize(
    "other",
    [
        run("other", 4, published=1, started=12),
        run("other", 5, published=1, started=12),
        run("other", 1, published=1, started=9),
        run("other", 1, published=1, started=21),
        run("other", 1, published=1, started=12, received=9),
        run("other", 1, published=1, started=None),
        run("other", 1, published=1, started=12, queue="tasks.high"),
    ],
    ids=["as urgent", "more urgent", "before", "after", "in hand already", "waits too", "of another queue"],
)
def test_a_run_is_not_listed_because_of_one(world: World, other: list[Event]) -> None:
    assert inversions(world, run("urgent", 4, published=10, started=20), other) == []


def test_a_run_that_was_held_waited_only_until_a_worker_first_had_it(world: World) -> None:
    urgent = run("urgent", 4, published=10, started=30, received=29)
    urgent.insert(2, told(minted("urgent"), "received", 11, attempt=1, queue="tasks.normal", worker="w"))
    assert inversions(world, urgent, run("other", 1, published=1, started=20)) == []


def test_a_run_that_was_raised_had_a_lower_priority_while_it_waited(world: World) -> None:
    raised = run("raised", 4, published=10, started=30)
    raised.append(told(minted("raised"), "republished", 25, copy=1, attempt=1, reason="starving", priority=4))
    assert inversions(world, raised, run("other", 1, published=1, started=20)) == []


def test_a_run_that_still_waits_is_listed_too(world: World) -> None:
    (found,) = inversions(world, run("urgent", 4, published=10, started=None), run("other", 0, published=1, started=12))
    assert found["first_started_at"] is None
    assert found["inverted_seconds"] > 0


def test_a_run_that_was_never_seen_published_is_not_listed(world: World) -> None:
    urgent = run("urgent", 4, published=10, started=20)
    assert inversions(world, [urgent[2]], run("other", 1, published=1, started=12)) == []
