from __future__ import annotations

from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from domain.skip import skip_stream
from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.draft import DraftRefusedError
from projections.rebuild import rebuild
from projections.skip_decisions import SkipRefusedError
from projections.unskipping import Unskipped, unskip
from tests.projections.conftest import Run
from tests.projections.histories import at, minted, requested
from tests.projections.test_runner import Choosy, parked
from tests.projections.test_skipping import draft, ended, event_id, runs, skipped
from tests.projections.test_skipping import other as other  # noqa: PLC0414  a fixture
from tests.projections.world import World


def unskipped(world: World, event_id: UUID, reason: str = "it was true") -> Unskipped:
    return unskip(world.store, list(PROJECTIONS.values()), event_id, reason=reason, by="bob", at=at(60))


def test_an_event_that_is_no_longer_skipped_is_counted_by_who_comes_to_it(world: World) -> None:
    a, b = sorted([minted("a"), minted("b")], key=str)
    (first, _) = world.record(Log.TASKS, requested(a), requested(b))
    skipped(world, event_id(a))
    assert unskipped(world, event_id(a)) == Unskipped(Log.TASKS, first, "task.requested", [], [], [])
    world.catch_up("task_runs")
    assert runs(world) == [str(a), str(b)]


def test_who_has_passed_over_it_lacks_it_until_it_is_rebuilt(world: World) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    skipped(world, event_id(minted("a")))
    world.catch_up("task_runs")
    assert unskipped(world, event_id(minted("a"))).missed_by == ["task_runs"]
    assert runs(world) == []
    rebuild(world.connection, PROJECTIONS["task_runs"], store=world.store, batch_events=10)
    assert runs(world) == [str(minted("a"))]


def test_who_had_counted_it_before_it_was_skipped_is_right_again(world: World, other: sa.Connection) -> None:
    end, _ = ended(world)
    world.catch_up("task_runs")
    desk = draft(world, other)
    skipped(world, end)
    done = unskipped(world, end)
    assert (done.counted_by, done.missed_by, done.drafts) == (["task_runs"], [], [])
    assert desk.switch(by="ada") == 0


def test_a_draft_that_has_passed_over_it_is_not_switched_in_and_begun_anew(
    world: World, other: sa.Connection, run: Run
) -> None:
    end, said = ended(world)
    skipped(world, end)
    world.catch_up("task_runs")
    desk = draft(world, other)
    assert unskipped(world, end).drafts == ["task_runs"]
    lacks = said.replace("counts", "lacks").replace("skipped since", "no longer skipped since")
    with pytest.raises(DraftRefusedError, match=f"the draft of task_runs {lacks}"):
        desk.switch(by="ada")
    assert "begun anew" in run("projection", "rebuild", "task_runs").stderr
    run("projection", "switch", "task_runs", "--expect-differences", "1", "--reason", "the end was true")
    assert world.row("select state from read_model.task_runs") == {"state": "succeeded"}


def test_decisions_take_turns_and_the_last_one_holds(world: World) -> None:
    a = minted("a")
    world.record(Log.TASKS, requested(a))
    for _ in range(2):
        skipped(world, event_id(a))
        unskipped(world, event_id(a))
    skipped(world, event_id(a), reason="never happened after all")
    world.catch_up("task_runs")
    assert runs(world) == []
    decisions = world.store.load(Log.LICENSING, [skip_stream(event_id(a))])[skip_stream(event_id(a))]
    assert [fact.name for fact in decisions] == ["event.skipped", "event.unskipped"] * 2 + ["event.skipped"]
    skips = world.rows("select unskipped_by, unskip_reason from analytics.meta_skipped_events order by unskipped_at")
    undone = {"unskipped_by": "bob", "unskip_reason": "it was true"}
    assert skips == [undone, undone, {"unskipped_by": None, "unskip_reason": None}]


def test_what_was_known_before_it_was_taken_back_goes_without_the_event(world: World) -> None:
    a = minted("a")
    world.record(Log.TASKS, requested(a))
    skipped(world, event_id(a))
    (skip,) = world.rows("select recorded_at from event_store.licensing_events")
    unskipped(world, event_id(a))
    stream = f"task_run-{a}"
    assert world.store.load_counted(Log.TASKS, stream, known_by=skip["recorded_at"]) == []
    assert len(world.store.load_counted(Log.TASKS, stream)) == 1


def test_skipped_again_it_is_as_if_it_had_never_been_counted(world: World, other: sa.Connection) -> None:
    end, _ = ended(world)
    skipped(world, end)
    world.catch_up("task_runs")
    desk = draft(world, other)
    unskipped(world, end)
    done = skipped(world, end)
    assert (done.counted_by, done.parked_by, done.drafts) == ([], [], [])
    assert desk.switch(by="ada") == 0


def test_an_event_that_was_parked_is_tried_again_by_a_rebuild(world: World) -> None:
    world.record(Log.TASKS, requested(minted("poison")))
    world.runner(Choosy()).step(world.connection)
    skipped(world, event_id(minted("poison")))
    assert unskipped(world, event_id(minted("poison"))).missed_by == ["task_runs"]
    rebuild(world.connection, Choosy(), store=world.store, batch_events=10)
    assert len(parked(world)) == 1


def test_what_is_not_skipped_is_refused(world: World) -> None:
    a = minted("a")
    world.record(Log.TASKS, requested(a))
    with pytest.raises(SkipRefusedError, match=r"\(task.requested\) is not skipped, and never was"):
        unskipped(world, event_id(a))
    skipped(world, event_id(a))
    unskipped(world, event_id(a), reason="the wrong id")
    with pytest.raises(SkipRefusedError, match=r"not skipped any more: taken back by bob at .* UTC: the wrong id"):
        unskipped(world, event_id(a))
    with pytest.raises(SkipRefusedError, match="in none of the logs"):
        unskipped(world, uuid4())
    assert world.rows("select * from read_model_draft.counted_skips") == [], "a refusal leaves nothing behind"


def test_the_command_says_what_it_did_and_what_is_left_to_do(world: World, run: Run) -> None:
    a = str(event_id(minted("a")))
    world.record(Log.TASKS, requested(minted("a")))
    run("events", "skip", a, "--reason", "never happened")
    world.catch_up("task_runs")
    done = run("events", "unskip", a, "--reason", "it did")
    assert done.exit_code == 0, done.output
    assert "is no longer skipped" in done.stdout
    assert "task_runs has passed over it: ledgerq projection rebuild task_runs" in done.stdout
    again = run("events", "unskip", a, "--reason", "it did")
    assert (again.exit_code, "not skipped any more" in again.stderr) == (1, True)
