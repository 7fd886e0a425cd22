"""A message whose worker died after the end was recorded and before it was acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from domain.task_run import task_event
from domain.tier import Tier
from infra.event_store import Log, NewEvent
from tests.tasks.reconcile.conftest import ground, platform_without_workers  # noqa: F401
from tests.tasks.reconcile.ground import Ground
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(200)
FAILED = {"error_type": "E", "error": "e"}


@pytest.mark.parametrize(("end", "told", "dead"), [("succeeded", {}, 0), ("failed", FAILED, 1)])
def test_it_is_let_go_as_the_run_ended_and_not_executed_again(
    ground: Ground,  # noqa: F811
    tmp_path: Path,
    end: str,
    told: dict[str, str],
    dead: int,
) -> None:
    marks = tmp_path / "marks"
    ground.empty()
    (run,) = ground.request(1, tier=Tier.HIGH, marks=str(marks))
    with ground.taken(Tier.HIGH.queue):
        event = task_event(f"task.{end}", run, at=datetime.now(UTC), data={"task": "t", "attempt": 1, **told})
        ground.store.append(Log.TASKS, [NewEvent(event, uuid4(), {})])
    (follower,) = ground.request(1, tier=Tier.HIGH, marks=str(marks))
    ground.worker(Tier.HIGH)
    ground.end_all({follower})
    eventually(lambda: ground.depth("dead") == dead and ground.depth(Tier.HIGH.queue) == 0, seconds=30)
    assert len(marks.read_text().splitlines()) == 1  # the follower's
    assert ground.ends(run) == [f"task.{end}", *["task.dead_lettered"] * dead]
    assert not ground.has(run, "task.retry_scheduled")


def test_a_message_in_whose_place_another_attempt_follows_is_let_go(
    ground: Ground,  # noqa: F811
    tmp_path: Path,
) -> None:
    marks = tmp_path / "marks"
    ground.empty()
    (run,) = ground.request(1, tier=Tier.HIGH, marks=str(marks))
    with ground.taken(Tier.HIGH.queue):
        why = {"spent_by": "exception", "error_type": "E", "error": "e", "delay_seconds": 600.0}
        data = {"task": "t", "attempt": 1, **why}
        event = task_event("task.retry_scheduled", run, at=datetime.now(UTC), data=data)
        ground.store.append(Log.TASKS, [NewEvent(event, uuid4(), {})])
    (follower,) = ground.request(1, tier=Tier.HIGH, marks=str(marks))
    ground.worker(Tier.HIGH)
    ground.end_all({follower})
    eventually(lambda: ground.depth(Tier.HIGH.queue) == 0, seconds=30)
    assert len(marks.read_text().splitlines()) == 1  # the follower's
    assert ground.ends(run) == []
