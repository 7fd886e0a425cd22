from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from infra import database
from infra.event_store import Log
from infra.settings import Settings
from projections.beside import Desk, Filling
from projections.catalog import PROJECTIONS
from projections.comparison import Difference
from projections.draft import DraftRefusedError, begin_draft, draft_positions, drop_draft, find_draft
from projections.projector import Projector
from projections.rows import driver
from tests.projections.histories import History, at, minted, requested, told
from tests.projections.test_runner import Choosy
from tests.projections.test_sessions import heartbeats, watermark
from tests.projections.world import World
from tests.waiting import eventually


@pytest.fixture
def other(settings: Settings) -> Iterator[sa.Connection]:
    """A connection for whoever works on drafts, beside the one the live tables are kept on."""
    engine = database.engine(settings, name="draft", connections=3)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def desk(world: World, other: sa.Connection, name: str = "task_runs", *, batch_events: int = 1000) -> Desk:
    return Desk(other, PROJECTIONS[name], store=world.store, batch_events=batch_events)


def begun(world: World, other: sa.Connection, name: str = "task_runs", *, batch_events: int = 1000) -> Desk:
    with other.begin():
        begin_draft(driver(other), PROJECTIONS[name], by="ada")
    return desk(world, other, name, batch_events=batch_events)


def change_by_hand(world: World, statement: str, *values: object) -> None:
    with world.connection.begin():
        world.psycopg.execute(statement.encode(), values)


def states(world: World) -> list[str]:
    return [row["state"] for row in world.rows("select state from analytics.fct_task_runs order by run_id")]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_draft_filled_from_the_log_is_the_same_as_the_live_tables(
    world: World, other: sa.Connection, name: str
) -> None:
    for log, events in History(3).chunks():
        world.store.append(log, events)
    world.catch_up(name)
    working = begun(world, other, name, batch_events=7)
    working.fill()
    compared = working.compare(show=5)
    assert [(each.differing_rows, each.differing_buckets, each.shown) for each in compared] == [(0, [], [])] * len(
        compared
    )
    assert all(each.live_rows == each.draft_rows for each in compared)
    assert all(each.live_rows for each in compared if each.table != "parked_events")


def test_filling_leaves_the_live_tables_and_the_logs_alone(world: World, other: sa.Connection) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    working = begun(world, other)
    before = {log: world.store.safe_position(log) for log in Log}
    working.fill()
    assert states(world) == []
    assert {log: world.store.safe_position(log) for log in Log} == before
    assert not world.rows("select * from event_store.checkpoints where follower like 'projection.%%'")


def test_the_live_tables_are_kept_while_a_draft_is_filled(world: World, other: sa.Connection) -> None:
    world.record(Log.TASKS, *(requested(minted(number)) for number in range(5)))
    world.catch_up("task_runs")
    seen = []

    def meanwhile(_filling: Filling) -> None:
        world.record(Log.TASKS, requested(minted("meanwhile", len(seen))))
        world.catch_up("task_runs")
        seen.append(len(states(world)))

    begun(world, other, batch_events=1).fill(meanwhile)
    assert seen == [6, 7, 8, 9, 10]


def test_a_filling_that_was_interrupted_goes_on_from_where_it_was(world: World, other: sa.Connection) -> None:
    (*_, last) = world.record(Log.TASKS, *(requested(minted(number)) for number in range(10)))

    def interrupt(_filling: Filling) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begun(world, other, batch_events=2).fill(interrupt)
    with other.begin():
        assert 0 < draft_positions(driver(other), PROJECTIONS["task_runs"])[Log.TASKS] < last
    rest = desk(world, other, batch_events=2).fill()
    assert (rest.done, rest.passed) == (rest.total, 8)
    assert len(world.rows("select * from read_model_draft.task_runs")) == 10


def test_progress_tells_the_rate_and_how_long_it_will_take() -> None:
    assert Filling(done=300, total=1000, passed=200, seconds=4.0).rate == 50
    assert Filling(done=300, total=1000, passed=200, seconds=4.0).seconds_left == 14
    assert Filling(done=0, total=1000, passed=0, seconds=0.0).seconds_left is None


def test_a_comparison_names_the_rows_that_differ_and_how(world: World, other: sa.Connection) -> None:
    runs = sorted(str(minted(number)) for number in range(3))
    world.record(Log.TASKS, *(requested(run) for run in runs))
    world.catch_up("task_runs")
    change_by_hand(world, "update read_model.task_runs set state = 'lost', worker = 'w' where run_id = %s", runs[0])
    change_by_hand(world, "delete from read_model.task_runs where run_id = %s", runs[1])
    change_by_hand(
        world,
        """insert into read_model.task_runs
               (run_id, state, accepted_at, accepted_by, recorded_at, accepted_slot, state_slot)
           values ('made up', 'lost', now(), 'observed', now(), 1, 1)""",
    )
    (compared, _) = begun(world, other).compare(show=5)
    assert (compared.live_rows, compared.draft_rows, compared.differing_rows) == (3, 3, 3)
    assert 1 <= len(compared.differing_buckets) <= 3
    changed = [("state", "lost", "requested"), ("worker", "w", "null")]
    assert sorted(compared.shown) == sorted(
        [
            Difference("task_runs", (runs[0],), changed, None),
            Difference("task_runs", (runs[1],), [], "draft"),
            Difference("task_runs", ("made up",), [], "live"),
        ]
    )
    assert len(desk(world, other).compare(show=2)[0].shown) == 2


def test_a_comparison_under_load_looks_at_both_at_one_position(
    world: World, other: sa.Connection, settings: Settings
) -> None:
    projector = Projector(settings, [PROJECTIONS["sessions"]])
    stopping = threading.Event()

    def write() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            world.record(Log.HEARTBEATS, heartbeats(number))

    writer = threading.Thread(target=write)
    projector.start()
    writer.start()
    try:
        working = begun(world, other, "sessions")
        for _ in range(5):
            assert {each.differing_rows for each in working.compare(show=1)} == {0}
        count = "select coalesce(max(heartbeat_count), 0) as beats from read_model.sessions"
        before = world.row(count)["beats"]
        eventually(lambda: world.row(count)["beats"] > before)
    finally:
        stopping.set()
        writer.join()
        projector.stop()


def test_a_switch_makes_the_rebuilt_rows_live_and_a_rollback_takes_it_back(world: World, other: sa.Connection) -> None:
    a, b = sorted(str(minted(name)) for name in "ab")
    world.record(Log.TASKS, requested(a), requested(b))
    world.catch_up("task_runs")
    change_by_hand(world, "update read_model.task_runs set state = 'lost' where run_id = %s", a)
    working = begun(world, other)
    assert working.switch(by="ada", expected=1, reason="somebody changed it by hand") == 1
    assert states(world) == ["requested", "requested"]
    world.record(Log.TASKS, told(b, "succeeded", 5, attempt=1))
    world.catch_up("task_runs")
    assert states(world) == ["requested", "succeeded"]
    assert working.roll_back(by="ada") == 1
    assert states(world) == ["lost", "succeeded"], "what happened since the switch is not lost"
    world.catch_up("task_runs")
    assert states(world) == ["lost", "succeeded"]
    assert working.switch(by="ada", expected=1, reason="it was right") == 1
    assert states(world) == ["requested", "succeeded"]


def test_a_switch_refuses_more_differences_than_were_declared_and_does_nothing(
    world: World, other: sa.Connection
) -> None:
    world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    world.catch_up("task_runs")
    change_by_hand(world, "update read_model.task_runs set state = 'lost'")
    working = begun(world, other)
    for expected in (0, 1):
        with pytest.raises(DraftRefusedError, match=f"2 rows differ and {expected} were declared"):
            working.switch(by="ada", expected=expected)
    assert states(world) == ["lost", "lost"]
    with other.begin():
        draft = find_draft(driver(other), PROJECTIONS["task_runs"])
    assert draft is not None
    assert draft.state == "filling"


def test_a_switch_leaves_a_note_of_who_and_why(world: World, other: sa.Connection) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    begun(world, other).switch(by="ada", expected=1, reason="why not")
    with other.begin():
        draft = find_draft(driver(other), PROJECTIONS["task_runs"])
    assert draft is not None
    assert (draft.state, draft.changed_by, draft.reason) == ("replaced", "ada", "why not")


def test_what_a_rebuild_no_longer_parks_is_not_parked_after_the_switch(world: World, other: sa.Connection) -> None:
    world.record(Log.TASKS, requested(minted("poison")))
    world.runner(Choosy()).step(world.connection)
    working = begun(world, other)
    assert [(each.table, each.differing_rows) for each in working.compare(show=0)] == [
        ("task_runs", 1),
        ("parked_events", 1),
    ]
    working.switch(by="ada", expected=2, reason="the fix is deployed")
    assert world.rows("select * from read_model.parked_events") == []
    assert len(states(world)) == 1
    working.roll_back(by="ada")
    assert len(world.rows("select * from read_model.parked_events")) == 1


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_readers_never_see_a_mixture(world: World, other: sa.Connection, settings: Settings, isolation: str) -> None:
    """Two tables, one reader in a transaction that was open before the switch, one that asks in one statement."""
    world.record(Log.HEARTBEATS, heartbeats(1), heartbeats(2), watermark(3))
    world.catch_up("sessions")
    change_by_hand(world, "update read_model.sessions set heartbeat_count = 100")
    change_by_hand(world, "update read_model.log_time set log_time = %s", at(100))
    both = "select heartbeat_count, log_time from read_model.sessions, read_model.log_time"
    old, new = (100, at(100)), (2, at(3))
    seen, stopping = [], threading.Event()

    def read() -> None:
        with database.connect(settings, name="reader") as reader:
            while not stopping.is_set():
                seen.append(reader.execute(both).fetchall())

    reading = threading.Thread(target=read)
    reading.start()
    try:
        with database.connect(settings, name="early") as early, early.transaction():
            early.execute(f"set transaction isolation level {isolation}".encode())
            assert early.execute("select 1 from read_model.sessions").fetchone() == (1,)
            working = begun(world, other, "sessions")
            assert working.switch(by="ada", expected=2, reason="changed by hand") == 2
            assert early.execute(both).fetchall() == [old if isolation == "repeatable read" else new]
        eventually(lambda: seen and seen[-1] == [new])
    finally:
        stopping.set()
        reading.join()
    assert {row for (row,) in seen} <= {old, new}


def test_a_runner_at_work_goes_on_after_a_switch(world: World, other: sa.Connection) -> None:
    world.record(Log.HEARTBEATS, heartbeats(1))
    runner = world.runner("sessions")
    runner.step(world.connection)
    begun(world, other, "sessions").switch(by="ada")
    world.record(Log.HEARTBEATS, heartbeats(2))
    while runner.step(world.connection):
        pass
    assert world.row("select heartbeat_count from read_model.sessions") == {"heartbeat_count": 2}


def test_a_draft_that_is_ahead_of_a_projector_that_is_down_can_be_compared_and_switched(
    world: World, other: sa.Connection
) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    working = begun(world, other)
    working.fill()
    assert [each.differing_rows for each in working.compare(show=1)] == [0, 0]
    assert working.switch(by="ada") == 0
    assert len(states(world)) == 1


def test_a_dropped_draft_leaves_nothing(world: World, other: sa.Connection) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    begun(world, other).fill()
    with other.begin():
        drop_draft(driver(other), PROJECTIONS["task_runs"])
        assert find_draft(driver(other), PROJECTIONS["task_runs"]) is None
    assert world.rows("select * from event_store.checkpoints where follower like 'draft.%%'") == []
    assert world.rows("select to_regclass('read_model_draft.task_runs') as name") == [{"name": None}]


def test_a_draft_made_before_its_table_changed_is_refused(world: World, other: sa.Connection) -> None:
    working = begun(world, other)
    change_by_hand(world, "alter table read_model_draft.task_runs drop column worker")
    with pytest.raises(DraftRefusedError, match="no longer made like its draft"):
        working.switch(by="ada")


def test_a_rollback_without_a_switch_is_refused(world: World, other: sa.Connection) -> None:
    working = begun(world, other)
    with pytest.raises(DraftRefusedError, match="is not live"):
        working.roll_back(by="ada")
    with other.begin():
        drop_draft(driver(other), PROJECTIONS["task_runs"])
    with pytest.raises(DraftRefusedError, match="has no draft"):
        working.switch(by="ada")


def erase_newest(world: World, position: int) -> None:
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute("delete from event_store.task_events where position = %s", (position,))


def test_a_log_that_ends_before_the_live_tables_is_a_refusal_that_holds_nothing(
    world: World, other: sa.Connection
) -> None:
    first, last = world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    world.catch_up("task_runs")
    working = begun(world, other)
    erase_newest(world, last)
    said = f"log tasks ends at {first:,}, the live tables are at {last:,}.*rebuild task_runs --in-place"
    with pytest.raises(DraftRefusedError, match=said):
        working.compare(show=1)
    with pytest.raises(DraftRefusedError, match=said):
        working.switch(by="ada")
    world.record(Log.TASKS, requested(minted("c")))
    world.catch_up("task_runs")
    assert [each.differing_rows for each in working.compare(show=1)] == [1, 0], "the log is past it"


def test_a_log_that_ends_before_what_was_switched_in_refuses_the_rollback(world: World, other: sa.Connection) -> None:
    first, last = world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    working = begun(world, other)
    working.switch(by="ada", expected=2, reason="nothing was live")
    with other.begin():
        driver(other).execute("update event_store.checkpoints set position = 0 where follower = 'draft.task_runs'")
    erase_newest(world, last)
    with pytest.raises(DraftRefusedError, match=f"ends at {first:,}, the live tables are at {last:,}"):
        working.roll_back(by="ada")
    assert len(states(world)) == 2


def test_a_log_that_ends_before_the_draft_is_a_refusal_too(world: World, other: sa.Connection) -> None:
    first, last = world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    working = begun(world, other)
    working.fill()
    erase_newest(world, last)
    with pytest.raises(DraftRefusedError, match=f"ends at {first:,}, the draft is at {last:,}.*--anew"):
        working.compare(show=1)
