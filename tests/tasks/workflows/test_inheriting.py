"""What continues a chain, a chord's body and an error callback belong to the same story, trace and license."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord, group

from domain.task_run import TaskStarted
from domain.tier import Tier
from infra.tracing.ids import trace_of
from tests.tasks.workflows.flow import Flow
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
PATIENCE = 60
PRIORITY = Tier.NORMAL.max_priority


@pytest.fixture
def headers() -> dict[str, str]:
    return {"traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01", "ledgerq-license-id": f"l-{uuid4().hex}"}


def inherited(flow: Flow, run_id: str) -> tuple[str, str | None, int | None, str]:
    """Trace, license, priority and story of a run that has begun."""
    began = eventually(
        lambda: next((each for each in flow.recorded(run_id) if isinstance(each.event, TaskStarted)), None),
        seconds=PATIENCE,
    )
    told, event = began.metadata, began.event
    return trace_of(told.get("traceparent"), ""), event.license_id, event.priority, told["correlation_id"]


def asked(headers: dict[str, str], story: str) -> tuple[str, str, int, str]:
    return headers["traceparent"].split("-")[1], headers["ledgerq-license-id"], PRIORITY, story


def test_all_that_follows_the_first_link_of_a_chain_inherits_them(flow: Flow, headers: dict[str, str]) -> None:
    first = flow.s("plus", 1, 0).set(headers=headers, priority=PRIORITY)
    fans = group(chain(flow.s("double"), flow.s("plus", 1)), flow.s("double"))
    sent = chain(first, fans, flow.s("plain_total"), flow.s("plus", 1)).apply_async()
    assert sent.get(timeout=PATIENCE) == 6
    body = sent.parent
    links = [body.parent.results[0].parent, *body.parent.results]
    begun = body.parent.parent
    for run in (begun, *links, body, sent):
        assert inherited(flow, run.id) == asked(headers, begun.id)


@pytest.mark.parametrize("is_chain", [False, True])
def test_a_chords_body_inherits_them_and_so_does_one_of_several_tasks(
    flow: Flow, headers: dict[str, str], *, is_chain: bool
) -> None:
    members = [flow.s("double", number) for number in range(2)]
    body: Any = chain(flow.s("plain_total"), flow.s("plus", 1)) if is_chain else flow.s("plain_total")
    sent = chord(members, app=flow.app)(body, headers=headers, priority=PRIORITY)
    assert sent.get(timeout=PATIENCE) == 2 + is_chain
    for run in (*sent.parent.results, sent):
        assert inherited(flow, run.id) == asked(headers, sent.parent.id)


def test_an_error_callback_inherits_them(flow: Flow, headers: dict[str, str]) -> None:
    word = uuid4().hex[:8]
    failing = flow.s("fail", 1).set(headers=headers, priority=PRIORITY)
    failing.link_error(flow.s("told", word))
    sent = failing.apply_async()
    prefix = f"run:{word}:"
    lines = eventually(
        lambda: [line for line in flow.lines.read_text().split() if line.startswith(prefix)], seconds=PATIENCE
    )
    assert inherited(flow, lines[0].removeprefix(prefix)) == asked(headers, sent.id)
