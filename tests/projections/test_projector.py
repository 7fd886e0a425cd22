from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from infra import database
from infra.event_store import Log, Recorded
from infra.settings import Settings
from projections.beside import Desk
from projections.catalog import PROJECTIONS
from projections.draft import begin_draft
from projections.projector import Projector
from projections.rows import driver
from projections.task_runs import TaskRuns
from tests.projections.histories import History, minted, requested
from tests.projections.test_sessions import heartbeats
from tests.projections.world import World
from tests.waiting import eventually


class Process:
    """A projector's process, and what it says."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def says(self, message: str) -> bool:
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return any(line["message"] == message for line in lines)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


KILLS = 50
Start = Callable[..., Process]


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Start a projector's process; whatever is left of it is killed at the end."""
    started: list[Process] = []

    def launch(*arguments: str) -> Process:
        environment = {**os.environ, "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value()}
        command = (sys.executable, "-m", "infra.cli", "projector", *arguments)
        started.append(Process(command, environment, tmp_path / f"{len(started)}.log"))
        return started[-1]

    yield launch
    for process in started:
        process.kill()


def runs(world: World) -> int:
    return len(world.rows("select run_id from read_model.task_runs"))


def leader_of(projection: str, world: World) -> int | None:
    """Backend that holds the leadership of a projection."""
    found = world.rows(
        """select pid from pg_stat_activity join pg_locks using (pid)
           where application_name = %(name)s and datname = current_database()
             and locktype = 'advisory' and granted""",
        name=f"ledgerq leadership projection.{projection}",
    )
    return found[0]["pid"] if found else None


def counted(world: World) -> int:
    found = world.rows("select heartbeat_count from read_model.sessions")
    return found[0]["heartbeat_count"] if found else 0


def end_backends(world: World, pattern: str) -> int:
    """Cut the sessions of this database whose name matches; how many there were."""
    found = world.rows(
        """select pg_terminate_backend(pid) from pg_stat_activity
           where application_name like %(pattern)s and datname = current_database() and pid <> pg_backend_pid()""",
        pattern=pattern,
    )
    return len(found)


def test_facts_become_visible_while_it_runs(world: World, settings: Settings) -> None:
    projector = Projector(settings, list(PROJECTIONS.values()))
    projector.start()
    try:
        for number in range(3):
            world.record(Log.TASKS, requested(minted(number)))
            eventually(lambda expected=number + 1: runs(world) == expected)
    finally:
        projector.stop()


def test_after_an_outage_of_the_database_it_goes_on(world: World, settings: Settings) -> None:
    projector = Projector(settings, [PROJECTIONS["task_runs"]])
    projector.start()
    try:
        world.record(Log.TASKS, requested(minted("before")))
        eventually(lambda: runs(world) == 1)
        assert end_backends(world, "ledgerq projector%") + end_backends(world, "ledgerq leadership%") >= 3
        world.record(Log.TASKS, requested(minted("after")))
        eventually(lambda: runs(world) == 2)
    finally:
        projector.stop()


def test_a_fault_that_no_waiting_can_mend_ends_the_projector(world: World, settings: Settings) -> None:
    class Broken(TaskRuns):
        def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
            raise MemoryError(connection, events)

    projector = Projector(settings, [Broken()])
    projector.start()
    world.record(Log.TASKS, requested(minted("a")))
    eventually(lambda: projector.has_failed)
    with pytest.raises(MemoryError):
        projector.stop()


@pytest.mark.system
def test_standby_takes_over_when_the_leader_hangs_and_its_connection_is_cut(world: World, start: Start) -> None:
    leader = start("--only", "sessions")
    world.record(Log.HEARTBEATS, heartbeats(1))
    eventually(lambda: counted(world) == 1)
    standby = start("--only", "sessions")
    eventually(lambda: standby.says("projector started"))
    leader.process.send_signal(signal.SIGSTOP)
    try:
        world.record(Log.HEARTBEATS, heartbeats(2))
        end_backends(world, "ledgerq leadership projection.sessions")
        eventually(lambda: counted(world) == 2, seconds=10)
    finally:
        leader.process.send_signal(signal.SIGCONT)
    world.record(Log.HEARTBEATS, heartbeats(3))
    eventually(lambda: counted(world) == 3)
    assert standby.says("leading")
    eventually(lambda: leader.says("no longer leading"))


@pytest.mark.system
def test_while_one_leads_the_other_stands_by(world: World, start: Start) -> None:
    start("--only", "sessions")
    first = eventually(lambda: leader_of("sessions", world))
    other = start("--only", "sessions")
    eventually(lambda: other.says("projector started"))
    world.record(Log.HEARTBEATS, heartbeats(1))
    eventually(lambda: counted(world) == 1)
    other.process.terminate()
    assert other.process.wait(timeout=10) == 0
    assert leader_of("sessions", world) == first
    assert not other.says("leading")


@pytest.mark.system
def test_standby_takes_over_within_seconds_when_the_leader_is_killed(world: World, start: Start) -> None:
    leader = start("--only", "sessions")
    world.record(Log.HEARTBEATS, heartbeats(1))
    eventually(lambda: counted(world) == 1)
    standby = start("--only", "sessions")
    eventually(lambda: standby.says("projector started"))
    leader.kill()
    world.record(Log.HEARTBEATS, heartbeats(2))
    eventually(lambda: counted(world) == 2, seconds=10)
    assert standby.says("leading")


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_killed_fifty_times_at_random_it_makes_the_rows_that_are_made_from_scratch(
    world: World, start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERQ_PROJECTION_BATCH_EVENTS", "3")  # many commits, so that it is killed between and in them
    chance = random.Random(7)
    chunks = History(7, size=150).chunks()
    bounds = [len(chunks) * number // KILLS for number in range(KILLS + 1)]
    interrupted = 0
    for first, last in pairwise(bounds):
        for log, events in chunks[first:last]:
            world.store.append(log, events)
        process, target = start(), _progress(world) + chance.randint(1, _lag(world))
        eventually(lambda target=target: _progress(world) >= target or not _lag(world), every=0.01)
        process.kill()
        interrupted += _lag(world) > 0
    assert interrupted >= KILLS // 2, "it was mostly faster than the kill, so it would prove nothing"
    world.catch_up()
    engine = database.engine(settings, name="draft")
    with engine.connect() as other:
        for projection in PROJECTIONS.values():
            with other.begin():
                begin_draft(driver(other), projection, by="test")
            compared = Desk(other, projection, store=world.store, batch_events=1000).compare(show=1)
            assert [table for table in compared if table.differing_rows] == []
            assert all(table.live_rows for table in compared if table.table != "parked_events")
    engine.dispose()


@pytest.mark.system
def test_asked_to_stop_it_finishes_its_batch_and_says_that_all_is_well(world: World, start: Start) -> None:
    process = start()
    world.record(Log.TASKS, requested(minted("a")))
    eventually(lambda: runs(world) == 1)
    process.process.terminate()
    assert process.process.wait(timeout=10) == 0
    eventually(lambda: leader_of("task_runs", world) is None)


@pytest.mark.system
def test_it_keeps_only_what_it_is_asked_to(world: World, start: Start) -> None:
    eventually(lambda: leader_of("sessions", world) is None)  # the server may not have missed a killed one yet
    start("--only", "task_runs", "--only", "dead_letters")
    eventually(lambda: leader_of("task_runs", world) and leader_of("dead_letters", world))
    assert leader_of("sessions", world) is None


def _progress(world: World) -> int:
    found = world.row("select coalesce(sum(position), 0)::bigint as positions from event_store.checkpoints")
    return int(found["positions"])


def _lag(world: World) -> int:
    return int(world.row("select sum(lag_events)::bigint as behind from analytics.meta_freshness")["behind"])
