"""Chords, and chains with chords in them, done again from where they failed: with real nodes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError
from click.testing import CliRunner

from domain.chain import TaskChainRecorded
from domain.fan_in import fan_in_stream
from domain.task_run import run_stream
from tasks.task_commands import task
from tests.tasks.workflows.flow import Flow
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
PATIENCE = 60


@pytest.fixture
def road(tmp_path: Path) -> Path:
    return tmp_path / "road"


def failed(sent: Any) -> None:
    with pytest.raises(Exception, match=r"no road|ended badly"):
        sent.get(timeout=PATIENCE, follow_parents=False)


def value(flow: Flow, said: str) -> Any:
    """Of the run that a fork has asked for."""
    assert said.startswith("asked for "), said
    return flow.app.AsyncResult(said.rsplit(maxsplit=1)[-1]).get(timeout=PATIENCE, follow_parents=False)


def test_only_the_failed_members_are_executed_again_and_then_the_body(flow: Flow, road: Path) -> None:
    members = [flow.s("shaky", number, str(road)) for number in range(3)]
    sent = chord(members, app=flow.app)(flow.s("plain_total"))
    failed(sent)
    eventually(lambda: all(flow.noted(f"shaky:{number}:{road}") == 1 for number in range(3)))
    refused = flow.fork(sent.id, "--from", "flow.plain_total")
    assert "2 of 3 runs before it have succeeded, and it wants 3" in refused
    road.touch()
    planned = flow.fork(sent.parent.id, "--from", "failed", "--dry-run")
    assert planned.startswith("would ask for 1 member(s) again, then step 1 (flow.plain_total)"), planned
    said = flow.fork(sent.parent.results[0].id, "--from", "failed")
    assert value(flow, said) == 6
    assert [flow.noted(f"shaky:{number}:{road}") for number in range(3)] == [1, 2, 1]
    assert flow.fork(sent.id, "--from", "failed") == said.replace("asked for", "asked for before:")
    assert "nothing of it has failed" in flow.fork(said.rsplit(maxsplit=1)[-1], "--from", "failed")


def test_a_body_that_failed_is_done_again_with_what_the_members_returned(flow: Flow, road: Path) -> None:
    members = [flow.s("shaky", number, str(road)) for number in (0, 2)]
    sent = chord(members, app=flow.app)(flow.s("tally", str(road)))
    failed(sent)
    road.touch()
    assert value(flow, flow.fork(sent.id, "--from", "failed")) == 4
    assert value(flow, flow.fork(sent.id, "--from", "flow.tally", "--as", "by name")) == 4
    assert flow.noted(f"shaky:0:{road}") == flow.noted(f"shaky:2:{road}") == 1
    assert value(flow, flow.fork(sent.parent.id, "--from", "1")) == 4
    assert flow.noted(f"shaky:0:{road}") == flow.noted(f"shaky:2:{road}") == 2


def test_a_chord_within_a_chain_goes_on_from_its_failed_members_and_what_follows_it_does_too(
    flow: Flow, road: Path
) -> None:
    fans = group(flow.s("shaky", str(road)), flow.s("passed", 10, str(road)))
    steps = chain(flow.s("plus", 1, 0), fans, flow.s("plain_total"), flow.s("plus", 100))
    sent = steps.apply_async()
    failed(sent.parent)
    eventually(lambda: flow.noted(f"passed:10:{road}") == 1)
    assert "step 2 (flow.plain_total) has no result" in flow.fork(sent.parent.id, "--from", "3")
    road.touch()
    first = flow.fork(sent.parent.id, "--from", "failed")
    assert value(flow, first) == 13
    new_body = first.rsplit(maxsplit=1)[-1]
    last = eventually(lambda: (told := flow.fork(new_body, "--from", "2")).startswith("asked") and told)
    assert value(flow, last) == 113
    assert (flow.noted(f"shaky:1:{road}"), flow.noted(f"passed:10:{road}")) == (2, 1)
    again = flow.fork(sent.parent.id, "--from", "2")
    assert value(flow, again) == 13
    assert (flow.noted(f"shaky:1:{road}"), flow.noted(f"passed:10:{road}")) == (3, 2)
    whole = flow.fork(sent.parent.parent.parent.id, "--from", "1", "--dry-run")
    assert whole.startswith("would ask for step 1 (flow.plus) as run "), whole


def test_of_a_member_that_is_a_chain_only_the_failed_link_is_executed_again(flow: Flow, road: Path) -> None:
    member = chain(flow.s("passed", 0, 1, str(road)), flow.s("shaky", str(road)), flow.s("passed", 10, str(road)))
    sent = chord([member, flow.s("double", 1)], app=flow.app)(flow.s("plain_total"))
    failed(sent)
    links = [sent.parent.results[0].parent.parent.id, sent.parent.results[0].parent.id]
    road.touch()
    assert value(flow, flow.fork(sent.id, "--from", "failed")) == 14
    assert [flow.noted(f"{what}:{road}") for what in ("passed:1", "shaky:1", "passed:10")] == [1, 2, 1]
    alone = flow.fork(links[1], "--from", "failed")
    assert alone.startswith("asked for step 2 (flow.shaky) as run "), alone
    assert value(flow, alone) == 2


def test_a_chain_in_a_chord_that_a_task_sends_is_recorded(flow: Flow) -> None:
    member = chain(flow.s("plus", 1), flow.s("plus", 1))
    sent = chain(flow.s("plus", 1, 0), group(member, flow.s("double")), flow.s("plain_total")).apply_async()
    assert sent.get(timeout=PATIENCE) == 5
    members = sent.parent.results
    eventually(lambda: _recorded(flow, members[0].parent.id) == [1] and _recorded(flow, members[1].id) == [0])
    assert _recorded(flow, members[0].id) == []  # it is a link
    said = flow.fork(members[0].id, "--from", "2")
    assert value(flow, said) == 3


def _recorded(flow: Flow, run_id: str) -> list[int]:
    told = [each.event for each in flow.recorded(run_id)]
    return [len(each.links) for each in told if isinstance(each, TaskChainRecorded)]


def test_a_chord_within_a_chord_goes_on_from_its_own_failed_members(flow: Flow, road: Path) -> None:
    inner = chord([flow.s("shaky", number, str(road)) for number in (0, 1)], flow.s("plain_total"), app=flow.app)
    sent = chord([inner, flow.s("double", 1)], app=flow.app)(flow.s("plain_total"))
    with pytest.raises(ChordError):
        sent.get(timeout=PATIENCE, follow_parents=False)
    road.touch()
    assert value(flow, flow.fork(sent.id, "--from", "failed")) == 4
    assert [flow.noted(f"shaky:{number}:{road}") for number in (0, 1)] == [1, 2]


def test_a_body_of_several_tasks_and_what_follows_it_come_after_the_failed_members(flow: Flow, road: Path) -> None:
    fans = group(flow.s("shaky", number, str(road)) for number in (0, 1))
    sent = chain(fans, flow.s("plain_total"), flow.s("plus", 1), flow.s("plus", 1)).apply_async()
    failed(sent)
    road.touch()
    said = flow.fork(sent.parent.id, "--from", "failed")
    assert value(flow, said) == 2
    body = said.rsplit(maxsplit=1)[-1]
    again = eventually(lambda: (told := flow.fork(body, "--from", "3")).startswith("asked") and told, seconds=PATIENCE)
    assert value(flow, again) == 4


def test_of_a_group_that_ends_a_chain_the_failed_members_are_executed_again(flow: Flow, road: Path) -> None:
    fans = group(flow.s("shaky", str(road)), flow.s("passed", 10, str(road)))
    sent = chain(flow.s("plus", 1, 0), fans).apply_async()
    with pytest.raises(ValueError, match="no road"):
        sent.results[0].get(timeout=PATIENCE)
    assert sent.results[1].get(timeout=PATIENCE) == 11
    road.touch()
    assert flow.fork(sent.results[1].id, "--from", "failed").startswith("asked for 1 member(s) of step 2")
    eventually(lambda: flow.noted(f"shaky:1:{road}") == 2, seconds=PATIENCE)
    assert flow.fork(sent.results[0].id, "--from", "2").startswith("asked for step 2 (celery.group) as run ")
    eventually(lambda: (flow.noted(f"shaky:1:{road}"), flow.noted(f"passed:10:{road}")) == (3, 2), seconds=PATIENCE)


def test_a_good_members_value_that_is_not_kept_refuses_the_fork(flow: Flow, road: Path) -> None:
    members = [flow.s("long", 200_000), flow.s("shaky", 1, str(road))]
    sent = chord(members, app=flow.app)(flow.s("long_total"))
    failed(sent)
    assert "is longer than what the log keeps of one" in eventually(
        lambda: (said := flow.fork(sent.id, "--from", "failed")).startswith("Error") and said
    )


def test_a_member_that_no_worker_began_is_executed_again(flow: Flow, road: Path) -> None:
    flow.s("double", 0).apply_async().get(timeout=PATIENCE)  # else the broker drops what expires before a worker has it
    late = {"expires": datetime(2026, 1, 1, tzinfo=UTC), "headers": {"ledgerq-license-id": "l-1"}}
    members = [flow.s("double", 1), flow.s("passed", 1, 1, str(road)).set(**late)]
    sent = chord(members, app=flow.app)(flow.s("plain_total"))
    failed(sent)
    expired = sent.parent.results[1].id
    assert flow.story(run_stream(expired)) == ["task.expired", "task.chain_recorded"]
    told = [each.event for each in flow.recorded(expired) if isinstance(each.event, TaskChainRecorded)]
    assert [each.license_id for each in told] == ["l-1"]
    assert value(flow, flow.fork(sent.id, "--from", "failed")) == 4


def test_a_chord_that_was_taken_back_is_forked_by_its_bodys_run(flow: Flow) -> None:
    members = [flow.s("double", 1), flow.s("sleep", 30)]
    sent = chord(members, app=flow.app)(flow.s("plain_total"))
    eventually(lambda: "task.succeeded" in flow.story(run_stream(sent.parent.results[0].id)), seconds=PATIENCE)
    asked = CliRunner().invoke(task, ["revoke", "--story", sent.parent.id, "--reason", "a mistake", "--no-wait"])
    assert asked.exit_code == 0, asked.output
    with pytest.raises(TaskRevokedError):
        sent.get(timeout=PATIENCE, follow_parents=False)
    eventually(lambda: "task.revoked" in flow.story(run_stream(sent.parent.results[1].id)), seconds=PATIENCE)
    planned = flow.fork(sent.id, "--from", "failed", "--dry-run")
    assert planned.startswith("would ask for 1 member(s) again, then step 1 (flow.plain_total)"), planned


def test_what_is_under_way_or_unknown_is_not_forked(flow: Flow) -> None:
    sent = chord([flow.s("sleep", 3), flow.s("double", 1)], app=flow.app)(flow.s("plain_total"))
    eventually(lambda: flow.story(fan_in_stream(sent.parent.id)))
    assert "it is under way" in flow.fork(sent.parent.id, "--from", "1")
    assert "nothing is recorded of a run nobody's" in flow.fork("nobody's", "--from", "1")
    assert sent.get(timeout=PATIENCE) == 2
