"""Chords as Celery users write them: sent by a client, run by a real worker, counted in the log by a real dispatch."""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError
from click.testing import CliRunner

from domain.fan_in import fan_in_stream
from domain.task_run import run_stream
from infra import database
from tasks.task_commands import task
from tests.tasks.workflows.flow import Flow
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
PATIENCE = 60


def test_the_body_gets_the_values_in_the_order_of_the_group_and_the_members_priority(flow: Flow) -> None:
    members = [flow.s("double", number).set(priority=5) for number in range(6)]
    sent = chord(members, app=flow.app)(flow.s("total", "sum"))
    value = sent.get(timeout=PATIENCE)
    assert (value["total"], value["label"]) == (30, "sum")
    assert value["priority"] == 5
    assert flow.story(fan_in_stream(sent.parent.id)) == ["fan_in.declared", "fan_in.completed"]


def test_a_member_that_is_a_chain_counts_by_its_last_link(flow: Flow) -> None:
    members = [chain(flow.s("double", 1), flow.s("double")), flow.s("double", 1)]
    sent = chord(members, app=flow.app)(flow.s("total"))
    assert sent.get(timeout=PATIENCE)["total"] == 6


def test_a_member_that_ends_in_a_group_counts_as_many_as_the_group_has(flow: Flow) -> None:
    fans = chain(flow.s("double", 1), group(flow.s("double"), flow.s("double")))
    sent = chord([fans, flow.s("double", 1)], app=flow.app)(flow.s("total"))
    assert sent.get(timeout=PATIENCE)["total"] == 10


def test_a_link_that_fails_fails_every_member_behind_it(flow: Flow) -> None:
    fans = chain(flow.s("fail", 1), group(flow.s("double"), flow.s("double")))
    sent = chord([fans, flow.s("double", 1)], app=flow.app)(flow.s("total").set(fan_in=2))
    with pytest.raises(ChordError, match="2 of 3 members ended badly"):
        sent.get(timeout=PATIENCE, follow_parents=False)


def test_a_chain_goes_on_behind_a_group(flow: Flow) -> None:
    steps = chain(group(flow.s("double", 1), flow.s("double", 2)), flow.s("total"), flow.s("add", 100))
    steps.app = flow.app
    assert steps.apply_async().get(timeout=PATIENCE) == 106


def test_a_body_that_is_a_chain_is_sent(flow: Flow) -> None:
    body = chain(flow.s("total"), flow.s("add", 1))
    sent = chord([flow.s("double", 1), flow.s("double", 2)], app=flow.app)(body)
    assert sent.get(timeout=PATIENCE) == 7


def test_a_member_that_fails_fails_the_body_which_never_runs(flow: Flow) -> None:
    sent = chord([flow.s("double", 1), flow.s("fail", 1)], app=flow.app)(flow.s("total"))
    with pytest.raises(ChordError, match=r"1 of 2 members ended badly.*no good"):
        sent.get(timeout=PATIENCE, follow_parents=False)
    assert flow.story(run_stream(sent.id)) == ["task.failed"]
    assert sent.id not in flow.lines.read_text()


def test_every_run_of_a_body_that_is_never_asked_for_ends(flow: Flow) -> None:
    body = group(flow.s("total"), chain(flow.s("total"), flow.s("add", 1)))
    sent = chord([flow.s("double", 1), flow.s("fail", 1)], app=flow.app)(body)
    runs = [sent.results[0].id, sent.results[1].id, sent.results[1].parent.id]
    for run_id in runs:
        with pytest.raises(ChordError, match="1 of 2 members ended badly"):
            flow.app.AsyncResult(run_id).get(timeout=PATIENCE)
    assert [flow.story(run_stream(run_id)) for run_id in runs] == [["task.failed"]] * 3


def test_every_run_of_a_body_that_cannot_be_sent_ends(flow: Flow) -> None:
    body = chord([flow.s("double", 1), flow.s("double", 2)], flow.s("total").set(fan_in="most"), app=flow.app)
    sent = chord([flow.s("double", 1), flow.s("double", 2)], app=flow.app)(body)
    with pytest.raises(ChordError, match=r"could not be sent: ValueError.*fan_in='most'"):
        sent.get(timeout=PATIENCE, follow_parents=False)


def test_an_earlier_link_that_fails_fails_its_member(flow: Flow) -> None:
    sent = chord([chain(flow.s("fail", 1), flow.s("double")), flow.s("double", 1)], app=flow.app)(flow.s("total"))
    with pytest.raises(ChordError):
        sent.get(timeout=PATIENCE, follow_parents=False)


@pytest.mark.parametrize(("wanted", "total"), [("any", {2}), (1, {2})])
def test_where_enough_members_succeed_the_body_runs_with_their_values(flow: Flow, wanted: Any, total: set[int]) -> None:
    members = [flow.s("fail", 1), flow.s("double", 1), flow.s("fail", 1)]
    sent = chord(members, app=flow.app)(flow.s("total").set(fan_in=wanted))
    assert sent.get(timeout=PATIENCE, follow_parents=False)["total"] in total


def test_where_too_few_succeed_it_fails(flow: Flow) -> None:
    members = [flow.s("fail", 1), flow.s("double", 1), flow.s("double", 1)]
    sent = chord(members, app=flow.app)(flow.s("total").set(fan_in=3))
    with pytest.raises(ChordError):
        sent.get(timeout=PATIENCE, follow_parents=False)


def test_a_policy_that_is_none_is_refused_before_anything_is_sent(flow: Flow) -> None:
    with pytest.raises(ValueError, match="fan_in='most'"):
        chord([flow.s("double", 1), flow.s("double", 2)], app=flow.app)(flow.s("total").set(fan_in="most"))


def test_a_long_value_is_handed_on_whole_and_one_that_is_not_kept_fails_the_body(flow: Flow) -> None:
    kept = chord([flow.s("long", 5_000), flow.s("long", 3)], app=flow.app)(flow.s("long_total"))
    assert kept.get(timeout=PATIENCE) == 5_003
    lost = chord([flow.s("long", 400_000), flow.s("long", 3)], app=flow.app)(flow.s("long_total"))
    with pytest.raises(ChordError, match="too long to be handed on"):
        lost.get(timeout=PATIENCE)


def test_a_story_that_is_revoked_ends_whole_with_what_had_not_begun_yet(flow: Flow) -> None:
    members = [flow.s("sleep", 300), *(chain(flow.s("sleep", 300), flow.s("double")) for _ in range(3))]
    sent = chord(members, app=flow.app)(flow.s("total"))
    asked = "select correlation_id from analytics.fct_task_runs where task = 'flow.sleep' and state = 'running'"
    with database.connect(flow.settings, name="test") as connection:
        running = eventually(lambda: len(found := connection.execute(asked).fetchall()) == 2 and found)
    [story] = {row[0] for row in running}
    done = CliRunner().invoke(task, ["revoke", "--story", story, "--reason", "a mistake"])
    assert (done.exit_code, "5 revoked" in done.output) == (0, True), done.output
    with pytest.raises(TaskRevokedError, match="a mistake"):
        sent.get(timeout=PATIENCE, follow_parents=False)
    eventually(lambda: flow.app.AsyncResult(sent.parent.results[0].id).state == "REVOKED")


@pytest.mark.chaos
def test_fan_outs_end_each_once_although_workers_are_killed(flow: Flow) -> None:
    """``FLOW_FAN_OUTS=1000 FLOW_MEMBERS=20 FLOW_KILLS=100`` is the long version."""
    kills = int(os.environ.get("FLOW_KILLS", "4"))
    fan_outs, size = int(os.environ.get("FLOW_FAN_OUTS", "60")), int(os.environ.get("FLOW_MEMBERS", "5"))
    flow.begun.write_text("")
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(flow.kill_at_random, kills, members=fan_outs * size)
        sent = [
            chord([flow.s("member", number) for number in range(size)], app=flow.app)(flow.s("total"))
            for _ in range(fan_outs)
        ]
        killed = killing.result(timeout=900)
    expected = sum(range(size)) * 2
    assert [each.get(timeout=900)["total"] for each in sent] == [expected] * fan_outs
    assert sum(killed.values()) == kills
    assert {tuple(flow.story(fan_in_stream(each.parent.id))) for each in sent} == {
        ("fan_in.declared", "fan_in.completed")
    }
    bodies = Counter(flow.lines.read_text().split())
    repeated = [each.id for each in sent if bodies[each.id] > 1]
    sys.stdout.write(f"{fan_outs} fan-outs of {size}, killed {dict(killed)}, {len(repeated)} bodies twice\n")
    eventually(lambda: all(flow.story(run_stream(each.id))[-1] == "task.succeeded" for each in sent), seconds=5)
