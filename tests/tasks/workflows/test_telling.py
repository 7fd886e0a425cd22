"""``ledgerq workflow``: chains and chords that a real worker carries out, as people are told of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from celery import chain, chord, group
from click.testing import CliRunner

from infra.cli import ledgerq
from tests.tasks.workflows.flow import Flow
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
SAID_ELSEWHERE = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\+?\d[\d.]* (ms|s|min)\b")
INDENT: Any = re.compile(" *")


def told(*arguments: str) -> str:
    done = CliRunner().invoke(ledgerq, ["workflow", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def ended(run_id: str) -> dict[str, Any]:
    """The workflow of a run, once the read models have its end."""
    found: dict[str, Any] = json.loads(told("show", run_id, "--json"))
    assert found["is_ended"]
    return found


def tree(run_id: str) -> list[str]:
    """The lines of its tree, without ids and times: what each is, its state, and the error."""
    _, _, lines = told("show", run_id).partition("\n\n")
    return [f"{INDENT.match(line)[0]}{' '.join(SAID_ELSEWHERE.sub('', line).split())}" for line in lines.splitlines()]


def test_a_chain_with_a_chord_in_it_is_one_tree_in_the_order_of_its_steps(flow: Flow) -> None:
    pair = chain(flow.s("double"), flow.s("double"))
    steps = chain(flow.s("double", 1), group(flow.s("double"), pair), flow.s("total"), flow.s("add", 100), app=flow.app)
    sent = steps.apply_async()
    assert sent.get(timeout=60) == 112
    found = eventually(lambda: ended(sent.id))
    assert (found["kind"], found["state"], found["step_count"], found["ended_count"]) == ("mixed", "succeeded", 6, 6)
    first, *members, body, last = found["steps"]
    assert found["workflow_id"] == first["run_id"]
    assert [(step["member_number"], step["link_number"], step["depth"]) for step in members] == [
        (1, 1, 1),
        (2, 1, 1),
        (2, 2, 1),
    ]
    assert (body["task"], body["role"], body["chain_step"], body["body_of"]) == (
        "flow.total",
        "body",
        2,
        members[0]["group_id"],
    )
    assert (last["run_id"], last["chain_step"], last["depth"]) == (sent.id, 3, 0)
    assert last["accepted_at"] >= body["accepted_at"] >= members[0]["accepted_at"] >= first["accepted_at"]
    assert found["executed_seconds"] > 0
    assert ended(members[1]["run_id"]) == found
    assert tree(sent.id) == [
        "  1 flow.double succeeded",
        "  2 chord of 2: 2 succeeded",
        "    1 flow.double succeeded",
        "    2.1 flow.double succeeded",
        "    2.2 flow.double succeeded",
        "    body flow.total succeeded",
        "  3 flow.add succeeded",
    ]


def test_what_comes_behind_a_link_that_fails_is_not_reached(flow: Flow) -> None:
    fans = group(flow.s("double"), flow.s("double"))
    steps = chain(flow.s("double", 1), flow.s("fail"), fans, flow.s("total"), flow.s("add", 100), app=flow.app)
    sent = steps.apply_async()
    found = eventually(lambda: ended(sent.id))  # of a run that was planned, and never asked for
    assert (found["state"], found["ended_count"], found["failed_count"], found["not_reached_count"]) == (
        "failed",
        2,
        1,
        4,
    )
    assert tree(sent.id) == [
        "  1 flow.double succeeded",
        "  2 flow.fail failed ValueError: no good",
        "  3 chord of 2: 2 not_reached",
        "    1 flow.double not_reached",
        "    2 flow.double not_reached",
        "    body flow.total not_reached",
        "  4 flow.add not_reached",
    ]
    listed = json.loads(told("list", "--state", "failed", "--task", "flow.double", "--since", "1h", "--json"))
    assert found["workflow_id"] in {row["workflow_id"] for row in listed}
    assert {row["state"] for row in listed} == {"failed"}


def test_of_many_members_the_first_and_those_that_failed_are_shown(flow: Flow) -> None:
    members = [flow.s("fail" if number % 7 == 0 else "double", number) for number in range(1, 24)]
    sent = chord(members, app=flow.app)(flow.s("total").set(fan_in=20))
    sent.get(timeout=60, follow_parents=False)
    found = eventually(lambda: ended(sent.id))
    # The fan-in could do without three of its members.
    assert (found["kind"], found["state"], found["step_count"], found["failed_count"]) == ("chord", "succeeded", 24, 3)
    lines = tree(sent.id)
    assert lines[0] == "  chord of 23, 20 wanted: 20 succeeded, 3 failed"
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "7", "14", "21", "…", "body"]
    assert lines[-2].strip() == "… 17 more succeeded"


def test_a_chord_that_cannot_succeed_has_failed_and_so_has_every_run_of_its_body(flow: Flow) -> None:
    body = chain(flow.s("total"), flow.s("add", 1))
    sent = chord([flow.s("double", 1), flow.s("fail", 1)], app=flow.app)(body)
    found = eventually(lambda: ended(sent.id))
    assert (found["state"], found["failed_count"]) == ("failed", 3)
    assert [(step["role"], step["state"]) for step in found["steps"]] == [
        ("member", "succeeded"),
        ("member", "failed"),
        ("body", "failed"),
        ("body", "failed"),
    ]


def test_a_group_of_a_client_is_a_workflow_and_a_single_run_is_none(flow: Flow) -> None:
    sent = group([flow.s("double", number) for number in range(3)], app=flow.app).apply_async()
    # Nobody tells beforehand how many there are going to be.
    found = eventually(lambda: (each := ended(sent.results[0].id))["step_count"] == 3 and each)
    assert (found["workflow_id"], found["kind"], found["state"]) == (sent.id, "group", "succeeded")
    sent.save()
    saved = eventually(lambda: (each := ended(sent.id))["steps"][0]["member_number"] and each)
    assert [step["run_id"] for step in saved["steps"]] == [each.id for each in sent.results]
    assert (saved["kind"], saved["state"], saved["step_count"]) == ("group", "succeeded", 3)
    alone = flow.s("double", 1).apply_async()
    alone.get(timeout=60)
    refused = eventually(
        lambda: (
            "its story has no other run" in (done := CliRunner().invoke(ledgerq, ["workflow", "show", alone.id])).output
            and done
        )
    )
    assert refused.exit_code == 1
    unknown = CliRunner().invoke(ledgerq, ["workflow", "show", "nobody's"])
    assert (unknown.exit_code, "the read models know no workflow nobody's" in unknown.output) == (1, True)


def test_a_group_that_a_task_sends_and_saves_belongs_to_the_story_of_the_task(flow: Flow) -> None:
    sent = flow.s("spread", 3).apply_async()
    group_id = sent.get(timeout=60)
    found = eventually(lambda: (each := ended(sent.id))["step_count"] == 4 and each["steps"][1]["group_id"] and each)
    assert (found["workflow_id"], found["kind"], found["state"]) == (sent.id, "runs", "succeeded")
    assert [(step["group_id"], step["member_number"]) for step in found["steps"]] == [
        (None, None),
        *((group_id, number) for number in (1, 2, 3)),
    ]


def test_a_fork_and_what_it_was_forked_from_name_each_other(flow: Flow) -> None:
    sent = chain(flow.s("double", 1), flow.s("double"), flow.s("double"), app=flow.app).apply_async()
    old = eventually(lambda: ended(sent.id))
    flow.fork(sent.id, "--from", "2")
    [fork] = eventually(lambda: ended(sent.id)["forks"])
    new = eventually(lambda: ended(fork["workflow_id"]))
    assert (new["forked_from"], new["forked_from_step"], new["forked_from_workflow"]) == (
        old["steps"][0]["run_id"],
        2,
        old["workflow_id"],
    )
    assert (new["state"], new["step_count"], fork["step"]) == ("succeeded", 2, 2)
    assert f"forked from {old['workflow_id']} at step 2" in told("show", new["workflow_id"])
    assert f"forked at step 2 as {new['workflow_id']}" in told("show", sent.id)
