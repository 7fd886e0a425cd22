from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from infra import database
from infra.event_store import Log, Recorded
from infra.settings import Settings
from projections.beside import Desk
from projections.catalog import PROJECTIONS
from projections.draft import DraftRefusedError, begin_draft
from projections.projection import Projection
from projections.rebuild import rebuild
from projections.rows import driver
from projections.skip_decisions import SkipRefusedError
from projections.skipping import Skipped, skip
from projections.task_runs import TaskRuns
from tests.infra.databases import someone_waits_for_a_lock
from tests.projections.conftest import Run
from tests.projections.histories import at, minted, requested, told
from tests.projections.test_runner import Choosy, parked
from tests.projections.world import World
from tests.waiting import eventually


def skipped(world: World, event_id: UUID, reason: str = "a load test") -> Skipped:
    return skip(world.store, list(PROJECTIONS.values()), event_id, reason=reason, by="ada", at=at(0))


def event_id(run: UUID, version: int = 1) -> UUID:
    return minted(f"task_run-{run}", version)


def runs(world: World) -> list[str]:
    return [row["run_id"] for row in world.rows("select run_id from read_model.task_runs order by run_id")]


def test_a_skipped_event_is_not_counted_and_stays_in_the_log(world: World) -> None:
    a, b, c = (minted(name) for name in "abc")
    (_, position, _) = world.record(Log.TASKS, requested(a), requested(b), requested(c))
    done = skipped(world, event_id(b))
    assert done == Skipped(Log.TASKS, position, "task.requested", [], [], [])
    world.catch_up("task_runs")
    assert runs(world) == sorted([str(a), str(c)])
    assert len(world.rows("select * from event_store.task_events")) == 3


def test_that_an_event_is_skipped_is_a_fact_with_who_and_why(world: World) -> None:
    (position,) = world.record(Log.TASKS, requested(minted("a")))
    skipped(world, event_id(minted("a")), reason="never happened")
    assert world.row("select * from analytics.meta_skipped_events") == {
        "log": "tasks",
        "position": position,
        "event_id": str(event_id(minted("a"))),
        "stream_id": f"task_run-{minted('a')}",
        "event_name": "task.requested",
        "reason": "never happened",
        "skipped_by": "ada",
        "skipped_at": at(0),
        "unskipped_at": None,
        "unskipped_by": None,
        "unskip_reason": None,
    }


def test_a_parked_event_that_is_skipped_is_no_longer_parked_and_not_tried_again(world: World) -> None:
    world.record(Log.TASKS, requested(minted("poison")), requested(minted("a")))
    world.runner(Choosy()).step(world.connection)
    assert len(parked(world)) == 1
    done = skipped(world, event_id(minted("poison")))
    assert (done.parked_by, done.counted_by) == (["task_runs"], [])
    assert parked(world) == []
    rebuild(world.connection, Choosy(), store=world.store, batch_events=10)
    assert parked(world) == []
    assert runs(world) == [str(minted("a"))]


def test_an_event_that_cannot_be_read_can_be_skipped(world: World) -> None:
    broken = uuid4()
    with world.connection.begin():
        world.psycopg.execute(
            """insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at)
               values ('task_run-broken', 9, 'task.started', '{"task": 7}', %s, now())""",
            (broken,),
        )
    skipped(world, broken)
    world.catch_up("task_runs")
    assert parked(world) == []


def test_what_has_counted_it_goes_on_counting_it_until_it_is_rebuilt(world: World, settings: Settings) -> None:
    run = minted("a")
    world.record(Log.TASKS, requested(run), told(run, "succeeded", 5, attempt=1))
    world.catch_up("task_runs")
    (end,) = world.rows("select event_id from event_store.task_events where name = 'task.succeeded'")
    assert skipped(world, end["event_id"]).counted_by == ["task_runs"]
    state = "select state from read_model.task_runs"
    assert world.row(state) == {"state": "succeeded"}
    engine = database.engine(settings, name="draft")
    with engine.connect() as other:
        with other.begin():
            begin_draft(driver(other), PROJECTIONS["task_runs"], by="ada")
        desk = Desk(other, PROJECTIONS["task_runs"], store=world.store, batch_events=10)
        desk.switch(by="ada", expected=1, reason="skipped an end")
    engine.dispose()
    assert world.row(state) == {"state": "requested"}


@pytest.fixture
def other(settings: Settings) -> Iterator[sa.Connection]:
    """A connection for whoever works on drafts, beside the one the live tables are kept on."""
    engine = database.engine(settings, name="draft", connections=3)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def draft(world: World, other: sa.Connection, projection: Projection = PROJECTIONS["task_runs"]) -> Desk:
    """A draft that has passed all there is."""
    with other.begin():
        begin_draft(driver(other), projection, by="ada")
    desk = Desk(other, projection, store=world.store, batch_events=10)
    desk.fill()
    return desk


def ended(world: World) -> tuple[UUID, str]:
    """A run whose end nobody has skipped yet: the id of that event, and what is said of it."""
    run = minted("a")
    _, position = world.record(Log.TASKS, requested(run), told(run, "succeeded", 5, attempt=1))
    found = world.row("select event_id from event_store.task_events where name = 'task.succeeded'")
    return found["event_id"], f"counts task.succeeded at {position:,} of tasks, skipped since"


def test_a_draft_that_has_counted_a_skipped_event_is_not_switched_in(world: World, other: sa.Connection) -> None:
    end, said = ended(world)
    world.catch_up("task_runs")
    desk = draft(world, other)
    done = skipped(world, end)
    assert (done.counted_by, done.drafts) == (["task_runs"], ["task_runs"])
    with pytest.raises(DraftRefusedError, match=f"the draft of task_runs {said}"):
        desk.compare(show=1)
    with pytest.raises(DraftRefusedError, match=f"the draft of task_runs {said}"):
        desk.switch(by="ada", expected=1, reason="skipped an end")
    assert world.row("select state from read_model.task_runs") == {"state": "succeeded"}


def test_the_advice_of_a_skip_does_what_it_says_where_there_was_a_draft(
    world: World, other: sa.Connection, run: Run
) -> None:
    end, _ = ended(world)
    world.catch_up("task_runs")
    draft(world, other)
    advised = run("events", "skip", str(end), "--reason", "never happened").stdout
    assert "task_runs has counted it: ledgerq projection rebuild task_runs, then diff and switch" in advised
    assert "the draft of task_runs has counted it" in advised
    rebuilt = run("projection", "rebuild", "task_runs")
    assert (rebuilt.exit_code, "begun anew" in rebuilt.stderr) == (0, True), rebuilt.output
    assert "succeeded, draft requested" in run("projection", "diff", "task_runs").stdout
    run("projection", "switch", "task_runs", "--expect-differences", "1", "--reason", "skipped an end")
    assert world.row("select state from read_model.task_runs") == {"state": "requested"}
    back = run("projection", "rollback", "task_runs")
    assert (back.exit_code, "what was live before task_runs was switched counts" in back.stderr) == (1, True)
    assert "live requested, draft succeeded" in run("projection", "diff", "task_runs").stdout, "it can be looked at"
    assert world.row("select state from read_model.task_runs") == {"state": "requested"}


def test_what_was_live_and_counted_an_event_that_is_then_skipped_does_not_come_back(
    world: World, other: sa.Connection
) -> None:
    end, said = ended(world)
    world.catch_up("task_runs")
    desk = draft(world, other)
    desk.switch(by="ada")
    assert skipped(world, end).drafts == ["task_runs"]
    with pytest.raises(DraftRefusedError, match=f"what was live before task_runs was switched {said}"):
        desk.roll_back(by="ada")


def test_a_draft_that_has_not_come_to_the_skipped_event_is_as_good_as_before(
    world: World, other: sa.Connection
) -> None:
    world.record(Log.TASKS, requested(minted("b")))
    desk = draft(world, other)
    end, _ = ended(world)
    assert skipped(world, end).drafts == []
    desk.switch(by="ada", expected=2, reason="nothing was live")
    assert {row["state"] for row in world.rows("select state from read_model.task_runs")} == {"requested"}


def test_live_tables_that_were_rebuilt_in_place_can_come_back(world: World, other: sa.Connection) -> None:
    end, _ = ended(world)
    world.catch_up("task_runs")
    skipped(world, end)
    rebuild(world.connection, PROJECTIONS["task_runs"], store=world.store, batch_events=10)
    desk = draft(world, other)
    desk.switch(by="ada")
    assert desk.roll_back(by="ada") == 0


def test_an_event_that_a_draft_has_parked_is_not_parked_after_a_switch(world: World, other: sa.Connection) -> None:
    world.record(Log.TASKS, requested(minted("poison")), requested(minted("a")))
    world.runner(Choosy()).step(world.connection)
    desk = draft(world, other, Choosy())
    done = skipped(world, event_id(minted("poison")))
    assert (done.parked_by, done.drafts) == (["task_runs"], [])
    assert desk.switch(by="ada") == 0
    assert parked(world) == []


def test_a_skip_where_there_is_no_draft_leaves_none_behind(world: World) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    assert skipped(world, event_id(minted("a"))).drafts == []
    assert world.rows("select * from event_store.checkpoints where follower like 'draft.%%'") == []


def interrupted_by(waiting: threading.Thread, settings: Settings) -> TaskRuns:
    """A projection that starts the thread in the midst of a page, and goes on once it waits for the page's end."""

    class Slow(TaskRuns):
        def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
            waiting.start()
            eventually(lambda: someone_waits_for_a_lock(settings))
            super().apply(connection, events)

    return Slow()


def test_a_skip_that_meets_a_draft_s_page_under_way_comes_after_it(
    world: World, other: sa.Connection, settings: Settings
) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    outcome: list[Skipped] = []
    waiting = threading.Thread(target=lambda: outcome.append(skipped(world, event_id(minted("a")))))

    desk = draft(world, other, interrupted_by(waiting, settings))
    waiting.join()
    assert (outcome[0].counted_by, outcome[0].drafts) == ([], ["task_runs"])
    with pytest.raises(DraftRefusedError, match=r"counts task\.requested"):
        desk.switch(by="ada")


def test_a_skip_that_meets_a_page_under_way_comes_after_it(world: World, settings: Settings) -> None:
    """Else it would be told that nobody has counted the event, while the page that counts it is being committed."""
    world.record(Log.TASKS, requested(minted("a")))
    outcome: list[Skipped] = []
    waiting = threading.Thread(target=lambda: outcome.append(skipped(world, event_id(minted("a")))))

    world.runner(interrupted_by(waiting, settings)).step(world.connection)
    waiting.join()
    assert outcome[0].counted_by == ["task_runs"]
    assert len(runs(world)) == 1


def test_an_event_is_skipped_once(world: World) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    skipped(world, event_id(minted("a")), reason="the first reason")
    with pytest.raises(SkipRefusedError, match="skipped already, by ada at 2026-03-01 12:00:00 UTC: the first reason"):
        skipped(world, event_id(minted("a")))


def test_what_is_no_event_or_a_skip_itself_is_refused(world: World) -> None:
    with pytest.raises(SkipRefusedError, match="in none of the logs licensing, tasks, heartbeats"):
        skipped(world, uuid4())
    world.record(Log.TASKS, requested(minted("a")))
    skipped(world, event_id(minted("a")))
    fact = world.row("select event_id from event_store.licensing_events where name = 'event.skipped'")
    with pytest.raises(SkipRefusedError, match="cannot be skipped"):
        skipped(world, fact["event_id"])


def test_the_command_says_what_it_did_and_what_is_left_to_do(world: World, run: Run) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    world.catch_up("task_runs")
    done = run("events", "skip", str(event_id(minted("a"))), "--reason", "never happened")
    assert done.exit_code == 0
    assert "task.requested at" in done.stdout
    assert "ledgerq projection rebuild task_runs" in done.stdout
    again = run("events", "skip", str(event_id(minted("a"))), "--reason", "never happened")
    assert (again.exit_code, "skipped already" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nonsense", "--reason", "x"], "not a valid UUID"), ([str(uuid4()), "--reason", " "], "--reason is empty")],
)
def test_the_command_refuses_what_it_cannot_use(run: Run, arguments: list[str], said: str) -> None:
    done = run("events", "skip", *arguments)
    assert (done.exit_code, said in done.stderr) == (2, True)
