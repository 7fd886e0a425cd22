"""Error callbacks as Celery users link them: called once, whoever saw the failure, or if nobody did."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord, group

from domain.fan_in import fan_in_stream
from domain.task_run import TaskFailure, run_stream
from tests.tasks.workflows.flow import Flow
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
PATIENCE = 60


@pytest.fixture
def word() -> str:
    return uuid4().hex[:8]


def errbacks(flow: Flow, word: str) -> list[Any]:
    """What is sent, and what is executed on the spot."""
    return [flow.s("told", word), flow.s("told_all", word)]


def linked(flow: Flow, signature: Any, word: str) -> Any:
    for each in errbacks(flow, word):
        signature.link_error(each)
    return signature


def lines(flow: Flow, word: str) -> list[str]:
    return sorted(line for line in flow.lines.read_text().split() if f":{word}:" in line and line[:3] != "run")


def are_told(flow: Flow, word: str, expected: set[str]) -> None:
    """They are told all of that, and each of it once."""
    eventually(lambda: len(lines(flow, word)) >= len(expected), seconds=PATIENCE)
    assert lines(flow, word) == sorted(expected)


def story_of(flow: Flow, run_id: str) -> str:
    return str(eventually(lambda: flow.recorded(run_id))[0].metadata["correlation_id"])


def uncalled(flow: Flow, run_id: str) -> tuple[Any, ...]:
    """What its end says that nobody has called yet."""
    (end,) = eventually(lambda: [each.event for each in flow.recorded(run_id) if isinstance(each.event, TaskFailure)])
    return tuple(end.errbacks)


def run_of(flow: Flow, word: str) -> str:
    """The run of the callback that was sent."""
    noted = eventually(
        lambda: [line for line in flow.lines.read_text().split() if line.startswith(f"run:{word}:")], seconds=PATIENCE
    )
    return str(noted[0].split(":")[2])


def test_those_of_a_body_that_never_ran_are_called_in_its_story(flow: Flow, word: str) -> None:
    body = linked(flow, flow.s("total"), word)
    sent = chord([flow.s("double", 1), flow.s("fail", 1)], app=flow.app)(body)
    are_told(flow, word, {f"told:{word}:{sent.id}", f"told_all:{word}:{sent.id}:ChordError"})
    called = run_of(flow, word)
    eventually(lambda: flow.story(run_stream(called))[-1:] == ["task.succeeded"])
    assert story_of(flow, called) == story_of(flow, sent.id) == sent.parent.id
    assert flow.story(fan_in_stream(sent.parent.id)) == ["fan_in.declared", "fan_in.failed"]


def test_those_of_a_body_that_is_a_group_are_told_of_each_of_its_tasks(flow: Flow, word: str) -> None:
    body = group(linked(flow, flow.s("total"), word), linked(flow, flow.s("total"), word))
    sent = chord([flow.s("double", 1), flow.s("fail", 1)], app=flow.app)(body)
    runs = [each.id for each in sent.results]
    expected = [(f"told:{word}:{run}", f"told_all:{word}:{run}:ChordError") for run in runs]
    are_told(flow, word, {line for lines in expected for line in lines})


def test_those_of_a_link_that_raises_are_called_and_those_of_the_links_behind_it_are_not(flow: Flow, word: str) -> None:
    other = word[::-1] + "x"
    sent = chain(linked(flow, flow.s("fail", 1), word), linked(flow, flow.s("plus", 1), other)).apply_async()
    are_told(flow, word, {f"told:{word}:{sent.parent.id}", f"told_all:{word}:{sent.parent.id}:ValueError"})
    called = run_of(flow, word)
    assert story_of(flow, called) == sent.parent.id
    assert lines(flow, other) == []
    assert uncalled(flow, sent.parent.id) == ()  # dispatch has none to call again


def test_they_are_called_after_the_last_attempt_and_not_after_each(flow: Flow, word: str) -> None:
    sent = linked(flow, flow.s("tries", word), word).apply_async()
    with pytest.raises(ValueError, match="no good"):
        sent.get(timeout=PATIENCE)
    assert flow.noted(f"tries:{word}") == 2
    are_told(flow, word, {f"told:{word}:{sent.id}", f"told_all:{word}:{sent.id}:ValueError"})
    assert uncalled(flow, sent.id) == ()


@pytest.mark.parametrize(
    ("name", "error"), [("stuck", "TimeLimitExceeded"), ("dies", "WorkerLostError"), ("greedy", "MemoryError")]
)
def test_where_the_child_is_killed_they_are_called_by_a_run(flow: Flow, word: str, name: str, error: str) -> None:
    sent = linked(flow, flow.s(name), word).apply_async()
    are_told(flow, word, {f"told:{word}:{sent.id}", f"told_all:{word}:{sent.id}:{error}"})
    called = run_of(flow, word)
    assert story_of(flow, called) == sent.id
