from __future__ import annotations

import threading

from infra import database
from infra.event_store import Log
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.rebuild import Progress, Rebuilt, rebuild
from tests.infra.databases import someone_waits_for_a_lock
from tests.projections.histories import minted, requested
from tests.projections.test_runner import Choosy, parked
from tests.projections.test_sessions import heartbeats, watermark
from tests.projections.world import World
from tests.waiting import eventually


def test_a_rebuild_repairs_what_somebody_changed_by_hand(world: World) -> None:
    world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    world.catch_up("task_runs")
    before = world.dump(PROJECTIONS["task_runs"].tables)
    with world.connection.begin():
        world.psycopg.execute("update read_model.task_runs set state = 'lost'")
    done = rebuild(world.connection, PROJECTIONS["task_runs"], store=world.store, batch_events=1)
    assert done == Rebuilt(events=2, parked=0)
    assert world.dump(PROJECTIONS["task_runs"].tables) == before


def test_readers_see_the_old_rows_until_the_new_ones_are_complete(world: World, settings: Settings) -> None:
    world.record(Log.HEARTBEATS, heartbeats(1), heartbeats(2), watermark(3))
    world.catch_up("sessions")
    seen = []
    with database.connect(settings, name="reader") as reader:

        def look(_progress: Progress) -> None:
            seen.append(reader.execute("select heartbeat_count from read_model.sessions").fetchall())

        rebuild(world.connection, PROJECTIONS["sessions"], store=world.store, batch_events=1, tell=look)
    assert seen == [[(2,)]] * 3


def test_a_runner_at_work_waits_for_the_rebuild_and_goes_on_after_it(world: World, settings: Settings) -> None:
    world.record(Log.HEARTBEATS, heartbeats(1))
    runner = world.runner("sessions")
    runner.step(world.connection)
    (last,) = world.record(Log.HEARTBEATS, heartbeats(2))
    engine = database.engine(settings, name="rebuild")
    working = threading.Thread(target=runner.step, args=(world.connection,))

    def once_the_runner_waits(progress: Progress) -> None:
        if progress.position == last:
            world.record(Log.HEARTBEATS, heartbeats(3))
            working.start()
            eventually(lambda: someone_waits_for_a_lock(settings))

    with engine.connect() as connection:
        rebuild(connection, PROJECTIONS["sessions"], store=world.store, batch_events=1, tell=once_the_runner_waits)
    working.join()
    engine.dispose()
    world.catch_up("sessions")
    assert world.row("select heartbeat_count from read_model.sessions") == {"heartbeat_count": 3}


def test_a_rebuild_tries_parked_events_again(world: World) -> None:
    world.record(Log.TASKS, requested(minted("poison")))
    world.runner(Choosy()).step(world.connection)
    assert len(parked(world)) == 1
    rebuild(world.connection, PROJECTIONS["task_runs"], store=world.store, batch_events=10)
    assert parked(world) == []
    assert len(world.rows("select * from read_model.task_runs")) == 1


def test_a_projection_that_never_ran_can_be_rebuilt(world: World) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    rebuild(world.connection, PROJECTIONS["task_runs"], store=world.store, batch_events=10)
    assert not world.runner("task_runs").step(world.connection)
    assert len(world.rows("select * from read_model.task_runs")) == 1
