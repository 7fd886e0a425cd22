from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import psycopg
import pytest
import sqlalchemy as sa

from domain.aggregate import Event
from domain.heartbeat import HeartbeatsReceived
from domain.license import License
from domain.task_run import TaskStarted
from infra import database
from infra.event_store import Checkpoint, Log, Recorded
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.projection import HEARTBEAT_PAGE_PART, follower
from projections.rebuild import rebuild
from projections.rows import driver
from projections.task_runs import TaskRuns
from tests.projections.histories import History, at, changes, minted, requested, told
from tests.projections.test_sessions import heartbeats
from tests.projections.world import World


def position(world: World, projection: str, log: Log) -> int:
    with world.connection.begin():
        return Checkpoint.read(driver(world.connection), follower(projection), log)


def renewed(*, times: int) -> list[Event]:
    """A license that was renewed so often; counting its renewals twice would show."""
    license_ = License.issue("l1", valid_until=at(3600), at=at(0))
    for number in range(times):
        license_.renew(valid_until=at(3601 + number), at=at(number))
    return changes(license_)


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_the_same_however_logs_interleave_and_batches_are_cut(world: World, seed: int) -> None:
    chance = random.Random(seed)
    runners = [world.runner(name) for name in PROJECTIONS]
    for log, events in History(seed).chunks():
        world.store.append(log, events)
        for runner in chance.sample(runners, chance.randint(0, 3)):
            runner._reader._batch_events = chance.randint(1, 7) * chance.choice((1, HEARTBEAT_PAGE_PART))
            runner.step(world.connection)
    for runner in runners:
        while runner.step(world.connection):
            pass
    for projection in PROJECTIONS.values():
        step_by_step = world.dump(projection.tables)
        assert all(step_by_step.values()), "the story left a table empty, so it would prove nothing"
        rebuild(world.connection, projection, store=world.store, batch_events=1000)
        assert world.dump(projection.tables) == step_by_step
    assert world.rows("select * from read_model.parked_events") == []


def test_rows_and_checkpoint_move_together(world: World) -> None:
    (*_, last) = world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    runner = world.runner("task_runs", batch_events=1)
    assert runner.step(world.connection)
    assert len(world.rows("select * from read_model.task_runs")) == 1
    assert position(world, "task_runs", Log.TASKS) == last - 1


def test_a_runner_with_nothing_to_look_at_says_so(world: World) -> None:
    assert not world.runner("sessions").step(world.connection)


def test_the_checkpoint_passes_events_that_are_none_of_the_projections_business(world: World) -> None:
    (last,) = world.record(Log.TASKS, requested(minted("a")))
    world.catch_up("dead_letters")
    assert position(world, "dead_letters", Log.TASKS) == last


def test_a_runner_that_comes_too_late_does_nothing_and_goes_on_from_where_the_other_is(world: World) -> None:
    world.record(Log.LICENSING, *renewed(times=2))
    late = world.runner("licenses")
    world.catch_up("licenses")
    assert late.step(world.connection)
    assert not late.step(world.connection)
    assert world.row("select renewals from read_model.licenses") == {"renewals": 2}


def test_two_runners_at_the_same_time_count_every_event_once(world: World, settings: Settings) -> None:
    world.record(Log.LICENSING, *renewed(times=39))
    other_engine = database.engine(settings, name="other")
    with other_engine.connect() as other:
        runners = [(world.runner("licenses", batch_events=3), world.connection)]
        second = world.runner("licenses", batch_events=2)
        second.recall(other)
        runners.append((second, other))
        moved = [True]
        while any(moved):
            moved = [runner.step(connection) for runner, connection in runners]
    other_engine.dispose()
    assert world.row("select renewals from read_model.licenses") == {"renewals": 39}


class Choosy(TaskRuns):
    """Cannot stand one run."""

    refused: ClassVar[str] = f"task_run-{minted('poison')}"

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        super().apply(connection, events)
        if any(recorded.event.originator_id == self.refused for recorded in events):
            raise LookupError("not this one\nand a second line")


def parked(world: World) -> list[dict[str, Any]]:
    return world.rows("select projection, log, event_name, stream_id, reason from analytics.meta_parked_events")


def test_a_poison_event_is_parked_by_name_and_the_rest_goes_on(world: World) -> None:
    runs = [minted(number) for number in range(20)]
    positions = world.record(Log.TASKS, *(requested(run) for run in [*runs[:7], minted("poison"), *runs[7:]]))
    runner = world.runner(Choosy())
    assert runner.step(world.connection)
    known = {row["run_id"] for row in world.rows("select run_id from read_model.task_runs")}
    assert known == {str(run) for run in runs}
    (found,) = parked(world)
    assert found == {
        "projection": "task_runs",
        "log": "tasks",
        "event_name": "task.requested",
        "stream_id": Choosy.refused,
        "reason": "LookupError: not this one",
    }
    assert world.row("select position from read_model.parked_events") == {"position": positions[7]}
    assert position(world, "task_runs", Log.TASKS) == positions[-1]


def test_an_event_that_the_database_refuses_is_parked(world: World) -> None:
    world.record(
        Log.TASKS,
        told(minted("a"), "started", attempt=1),
        told(minted("b"), "started", attempt=1, pid=2**63),
        told(minted("c"), "started", attempt=1),
    )
    world.catch_up("task_attempts")
    assert len(world.rows("select * from read_model.task_attempts")) == 2
    (found,) = parked(world)
    assert found["stream_id"] == f"task_run-{minted('b')}"
    assert "out of range" in found["reason"]


def test_a_batch_of_heartbeats_that_does_not_add_up_is_parked(world: World) -> None:
    broken = HeartbeatsReceived(
        originator_id="heartbeats-x", originator_version=1, timestamp=at(0), session_ids=("a", "b"), offsets_ms=(0,)
    )
    world.record(Log.HEARTBEATS, heartbeats(1), broken, heartbeats(2))
    world.catch_up("sessions")
    assert world.row("select session_id, heartbeat_count from read_model.sessions")["heartbeat_count"] == 2
    assert [row["event_name"] for row in parked(world)] == ["session.heartbeats_received"]


def test_an_event_that_this_version_of_the_code_cannot_read_is_parked(world: World) -> None:
    world.record(Log.TASKS, told(minted("a"), "started", attempt=1))
    with world.connection.begin():
        world.psycopg.execute("""
            insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at)
            values ('task_run-broken', 9, 'task.started', '{"task": 7}', gen_random_uuid(), now())
        """)
    world.catch_up("task_runs")
    (found,) = parked(world)
    assert (found["stream_id"], found["event_name"]) == ("task_run-broken", TaskStarted.TOPIC)
    assert len(world.rows("select * from read_model.task_runs")) == 1


def test_a_database_that_is_not_as_it_should_be_is_no_events_fault(world: World) -> None:
    with world.connection.begin():
        world.psycopg.execute("alter table read_model.task_runs rename to elsewhere")
    world.record(Log.TASKS, requested(minted("a")))
    runner = world.runner("task_runs")
    with pytest.raises(psycopg.errors.UndefinedTable):
        runner.step(world.connection)
    with world.connection.begin():
        world.psycopg.execute("alter table read_model.elsewhere rename to task_runs")
    assert runner.step(world.connection)
    assert len(world.rows("select * from read_model.task_runs")) == 1
    assert parked(world) == []
