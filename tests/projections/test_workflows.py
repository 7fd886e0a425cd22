"""What has become of stories of several runs, by the views alone."""

from __future__ import annotations

from typing import Any

import pytest

from domain.aggregate import Event
from domain.chain import TaskChainRecorded, WorkflowForked
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.story import story_revocation_requested
from domain.task_group import GroupSaved, group_stream
from infra.event_store import Log
from infra.events.showing import clock
from projections.catalog import PROJECTIONS
from projections.web.workflows import READ
from projections.workflow_list import WorkflowFilter, asking, story_of, workflow, workflows
from projections.workflow_text import tell
from tests.projections.histories import at, minted, requested, signature, told
from tests.projections.world import World

RUNS = [str(minted("step", number)) for number in range(6)]
FIRST, SECOND, THIRD, *_ = RUNS
DIED = {"error_type": "OSError", "error": "away"}


def record(world: World, *events: Event, story: str = FIRST, **metadata: str) -> None:
    world.record(Log.TASKS, *events, correlation_id=story, **metadata)


def chained(*runs: str) -> list[Event]:
    first, *others = runs
    links = [signature("bill", run) for run in others]
    plan = told(first, "chain_recorded", 0, attempt=1, links=links, args=[], kwargs={})
    assert isinstance(plan, TaskChainRecorded)
    return [told(first, "started", 0, attempt=1), plan]


def fanned(
    *members: str | tuple[str, ...], body: str, least: int | None = None, fan_in: str = "fan", seconds: float = 0
) -> FanInDeclared:
    named = {"originator_id": fan_in_stream(fan_in), "originator_version": 1, "timestamp": at(seconds)}
    links = tuple((each,) if isinstance(each, str) else each for each in members)
    return FanInDeclared(members=links, body=signature("sum", body), least=least, **named)


def succeeded(run: str, seconds: float) -> list[Event]:
    return [
        told(run, "started", seconds, attempt=1),
        told(run, "succeeded", seconds + 2, attempt=1, runtime_seconds=2.0),
    ]


def ended(run: str, name: str, seconds: float) -> list[Event]:
    return [told(run, "started", seconds, attempt=1), told(run, name, seconds + 1, attempt=1, **DIED)]


def known(world: World) -> dict[str, Any]:
    """The only workflow there is, once everything has been looked at."""
    world.catch_up()
    return world.row("select * from analytics.fct_workflows")


def states(world: World) -> list[str]:
    rows = world.rows(
        "select state from analytics.fct_workflow_steps order by array_position(%(runs)s, run_id)", runs=RUNS
    )
    return [row["state"] for row in rows]


def test_a_story_of_one_run_is_no_workflow_and_one_of_two_is(world: World) -> None:
    record(world, requested(FIRST), story="one")
    record(world, requested(SECOND, 1), requested(THIRD, 2, license_id="acme"), story="two")
    found = known(world)
    assert (found["workflow_id"], found["kind"], found["state"], found["step_count"]) == ("two", "runs", "running", 2)
    assert (found["began_at"], found["first_task"], found["license_id"]) == (at(1), "bill", "acme")


def test_a_group_that_was_saved_has_all_its_members_from_then_on(world: World) -> None:
    result = [["g", None], [[[run, None], None] for run in RUNS[:3]]]
    saved = GroupSaved(originator_id=group_stream("g"), originator_version=1, timestamp=at(0), result=result)
    record(world, saved, *succeeded(FIRST, 1), story="g")
    found = known(world)
    assert (found["kind"], found["state"], found["step_count"], found["ended_count"]) == ("group", "running", 3, 1)
    assert states(world) == ["succeeded", "planned", "planned"]
    record(world, *succeeded(SECOND, 1), *succeeded(THIRD, 1), story="g")
    assert (known(world)["kind"], known(world)["state"]) == ("group", "succeeded")


def test_a_chain_runs_until_its_last_link_has_ended(world: World) -> None:
    record(world, *chained(*RUNS[:3]), told(FIRST, "succeeded", 2, attempt=1, runtime_seconds=2.0))
    found = known(world)
    assert (found["kind"], found["state"], found["ended_at"], found["ended_count"]) == ("chain", "running", None, 1)
    assert states(world) == ["succeeded", "planned", "planned"]
    record(world, *succeeded(SECOND, 4), *succeeded(THIRD, 8))
    found = known(world)
    assert (found["state"], found["ended_at"], found["total_seconds"]) == ("succeeded", at(10), 10.0)
    assert found["executed_seconds"] == 6.0


def test_a_chain_whose_only_open_run_waits_is_waiting(world: World) -> None:
    terms = {"event": "license.renewed", "match": {"license_id": "acme"}}
    waits = told(FIRST, "wait_began", 1, attempt=1, terms=terms, message={"body": "[[], {}, {}]", "size_bytes": 12})
    record(world, *chained(FIRST, SECOND), waits)
    assert known(world)["state"] == "waiting"
    with world.connection.begin():
        found = workflow(asking(world.psycopg), FIRST)
    assert found is not None
    [wait] = found.waits
    assert (wait["run_id"], wait["waits_for"], wait["state"]) == (FIRST, "license.renewed", "open")


def test_what_was_taken_back_is_revoked_and_what_follows_is_not_reached(world: World) -> None:
    record(world, *chained(*RUNS[:3]), told(FIRST, "revoked", 1, attempt=1, **DIED))
    found = known(world)
    assert (found["state"], found["failed_count"], found["not_reached_count"]) == ("revoked", 1, 2)
    world.record(Log.TASKS, story_revocation_requested(FIRST, reason="ordered twice", at=at(1)), actor="olga")
    with world.connection.begin():
        taken = workflow(asking(world.psycopg), FIRST)
    assert taken is not None
    assert taken.revocation == {"requested_at": at(1), "requested_by": "olga", "reason": "ordered twice"}
    assert f"taken back by olga, {clock(at(1))}: ordered twice" in tell(taken)
    record(world, *ended(RUNS[3], "failed", 5))  # something else of the story, which nobody took back
    assert known(world)["state"] == "failed"


def test_a_member_that_the_fan_in_can_do_without_fails_nothing(world: World) -> None:
    record(world, fanned(FIRST, SECOND, body=THIRD, least=1), *ended(FIRST, "failed", 1), *succeeded(SECOND, 1))
    assert known(world)["state"] == "running"  # dispatch has not asked for the body yet
    record(world, requested(THIRD, 4), *succeeded(THIRD, 5))
    found = known(world)
    assert (found["kind"], found["state"], found["failed_count"]) == ("chord", "succeeded", 1)


def test_a_body_that_was_never_asked_for_leaves_the_story_to_its_members(world: World) -> None:
    record(world, fanned(FIRST, SECOND, body=THIRD), *ended(FIRST, "revoked", 1), *succeeded(SECOND, 1))
    record(world, told(THIRD, "failed", 3, attempt=1, error_type="ChordError", error="1 of 2 members ended badly"))
    assert known(world)["state"] == "revoked"


def test_a_run_that_was_replayed_is_no_failure_once_the_replay_succeeds(world: World) -> None:
    dead = told(SECOND, "dead_lettered", 6, reason="rejected")
    again = {"number": 1, "reason": "road", "replay_id": "batch", "new_run_id": RUNS[4], "generation": 1}
    record(world, *chained(*RUNS[:3]), told(FIRST, "succeeded", 2, attempt=1), *ended(SECOND, "failed", 4), dead)
    assert known(world)["state"] == "failed"
    record(world, told(SECOND, "letter_replayed", 7, **again), requested(RUNS[4], 7), *succeeded(RUNS[4], 8))
    assert known(world)["state"] == "running"  # the replay goes on with the chain
    record(world, *succeeded(THIRD, 12))
    assert known(world)["state"] == "succeeded"
    step = world.row("select * from analytics.fct_workflow_steps where run_id = %(run)s", run=RUNS[4])
    assert (step["role"], step["parent_run_id"]) == ("run", SECOND)


def test_a_replay_that_dies_too_ends_the_story_until_it_is_replayed_itself(world: World) -> None:
    def dead(run: str, seconds: float) -> list[Event]:
        return [*ended(run, "failed", seconds), told(run, "dead_lettered", seconds + 2, reason="rejected")]

    def replayed(run: str, by: str, seconds: float) -> list[Event]:
        named = {"number": 1, "reason": "road", "replay_id": f"batch-{by}", "new_run_id": by, "generation": 1}
        return [told(run, "letter_replayed", seconds, **named), requested(by, seconds)]

    record(world, *chained(*RUNS[:3]), told(FIRST, "succeeded", 2, attempt=1), *dead(SECOND, 4))
    record(world, *replayed(SECOND, RUNS[4], 10))
    assert known(world)["state"] == "running"
    record(world, *dead(RUNS[4], 11))
    found = known(world)
    assert (found["state"], found["not_reached_count"]) == ("failed", 1)
    record(world, *replayed(RUNS[4], RUNS[5], 20))
    assert known(world)["state"] == "running"
    record(world, *succeeded(RUNS[5], 21))
    assert (known(world)["state"], known(world)["not_reached_count"]) == ("running", 0)


def test_runs_that_were_planned_in_another_story_are_shown_there_alone(world: World) -> None:
    """As those of a chord whose sender gave its members a correlation id of its own."""
    record(world, fanned(FIRST, SECOND, body=THIRD), story="g")
    record(world, *succeeded(FIRST, 1), *succeeded(SECOND, 1), story="told by a header")
    found = known(world)
    assert (found["workflow_id"], found["step_count"], found["ended_count"]) == ("g", 3, 2)


@pytest.mark.parametrize("fork", ["!", "~"])
def test_a_member_that_a_fork_uses_as_it_ended_stays_in_the_story_that_it_ran_in(world: World, fork: str) -> None:
    again, body = RUNS[3:5]
    record(world, fanned(FIRST, SECOND, body=THIRD), *succeeded(FIRST, 1), *ended(SECOND, "failed", 1))
    record(world, told(THIRD, "failed", 3, attempt=1, error_type="ChordError", error="1 of 2 members ended badly"))
    record(world, fanned(FIRST, again, body=body, fan_in=fork, seconds=9), requested(again, 9), story=fork)
    record(world, *succeeded(again, 10), requested(body, 13), *succeeded(body, 14), story=fork)
    world.catch_up()
    asked = "select workflow_id, run_id, group_id from analytics.fct_workflow_steps where group_id is not null"
    assert {(row["workflow_id"], row["run_id"], row["group_id"]) for row in world.rows(asked)} == {
        (FIRST, FIRST, "fan"),
        (FIRST, SECOND, "fan"),
        (fork, again, fork),
    }
    rows = world.rows("select state, step_count from analytics.fct_workflows order by began_at")
    assert [(row["state"], row["step_count"]) for row in rows] == [("failed", 3), ("succeeded", 2)]


def test_every_member_that_a_run_leads_to_is_not_reached_where_that_ends_badly(world: World) -> None:
    """It was rejected before a worker began it, so nobody has recorded its chain."""
    record(world, fanned((FIRST, SECOND), (FIRST, THIRD), body=RUNS[3]), told(FIRST, "rejected", 1, attempt=1, **DIED))
    record(world, told(RUNS[3], "failed", 3, attempt=1, error_type="ChordError", error="2 of 2 members ended badly"))
    found = known(world)
    assert (found["state"], found["not_reached_count"]) == ("failed", 2)


def test_a_run_that_another_one_sent_names_it_as_its_parent(world: World) -> None:
    record(world, *succeeded(FIRST, 0))
    record(world, *succeeded(SECOND, 1), causation_id=FIRST)
    record(world, *succeeded(THIRD, 1), causation_id="elsewhere")
    world.catch_up()
    rows = world.rows("select run_id, parent_run_id from analytics.fct_workflow_steps")
    assert {row["run_id"]: row["parent_run_id"] for row in rows} == {FIRST: None, SECOND: FIRST, THIRD: None}


def test_lists_are_asked_by_state_task_and_time_a_page_at_a_time(world: World) -> None:
    for number, run in enumerate(RUNS[:4]):
        end, why = ("failed", DIED) if number % 2 else ("succeeded", {})
        plan = told(run, "chain_recorded", number, attempt=1, links=[signature("x", f"{run}-2")], args=[], kwargs={})
        record(
            world,
            told(run, "started", number, attempt=1),
            plan,
            told(run, end, number + 1, attempt=1, **why),
            story=run,
        )
    world.catch_up()

    def listed(limit: int = 9, **asked: Any) -> list[str]:
        with world.connection.begin():
            rows = workflows(asking(world.psycopg), WorkflowFilter(**asked), limit=limit)
        return [row["workflow_id"] for row in rows]

    assert listed() == RUNS[3::-1]
    assert listed(state="failed") == [RUNS[3], RUNS[1]]
    assert listed(state="running", since=at(1)) == [RUNS[2]]
    assert listed(task="other") == listed(kind="chord") == []
    assert listed(until=at(2)) == RUNS[1::-1]
    assert listed(limit=2, after=(at(2), RUNS[2])) == RUNS[1::-1]


def test_a_workflow_is_found_by_its_runs_and_its_fan_ins_and_so_are_forks_and_what_they_were_forked_from(
    world: World,
) -> None:
    story, chain_again, chord_again = "told by a header", RUNS[4], RUNS[5]
    record(world, *chained(FIRST, SECOND), fanned(SECOND, body=THIRD), story=story)
    record(world, *ended(FIRST, "failed", 0), story=story)
    for number, (origin, run) in enumerate(((FIRST, chain_again), ("fan", chord_again))):
        named = {"originator_id": f"fork-{number}", "originator_version": 1, "timestamp": at(9 + number)}
        record(world, WorkflowForked(forked_from=origin, step=1, task="bill", run_id=run, **named), story=run)
        record(world, *succeeded(run, 9 + number), story=run)
    world.catch_up()
    with world.connection.begin():
        ask = asking(world.psycopg)
        assert {story_of(ask, each) for each in (FIRST, SECOND, THIRD, "fan", story)} == {story}
        assert story_of(ask, "nobody's") is None
        old, *new = (workflow(ask, each) for each in (story, chain_again, chord_again))
    assert old is not None
    assert [fork["workflow_id"] for fork in old.forks] == [chain_again, chord_again]
    told_of = [(each.forked_from, each.row["forked_from"], each.row["step_count"]) for each in new if each]
    assert told_of == [(story, FIRST, 1), (story, "fan", 1)]


def test_who_asks_with_a_position_waits_for_every_read_model_that_is_asked(world: World) -> None:
    asked = """
        select distinct table_name from information_schema.view_table_usage
        where view_name in ('fct_workflows', 'fct_workflow_steps', 'fct_waits') and table_schema = 'read_model'
    """
    assert {row["table_name"] for row in world.rows(asked)} == {
        table.name for name in READ for table in PROJECTIONS[name].tables
    }
