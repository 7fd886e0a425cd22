"""A queue that an operator's policy has made too short: one test for each row of docs/failures.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from domain.tier import Tier
from infra.broker.management import ManagementApi
from tests.matrix.expecting import expect
from tests.matrix.requesting import request
from tests.matrix.stage import SECONDS, Sent, Stage
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.timeout(300)]


@contextmanager
def policy(stage: Stage, tier: Tier, **definition: Any) -> Iterator[None]:
    """An operator's policy on a tier's queue, in force."""
    api = ManagementApi(stage.settings)
    path = api.of_vhost("policies", "too-short")
    pattern = f"^{tier.queue.replace('.', '[.]')}$"
    wanted = {name.replace("_", "-"): value for name, value in definition.items()}
    api.call("PUT", path, {"pattern": pattern, "apply-to": "queues", "definition": wanted})
    queue = api.of_vhost("queues", tier.queue)
    eventually(lambda: api.get(queue).get("effective_policy_definition") == wanted, seconds=SECONDS)
    try:
        yield
    finally:
        api.call("DELETE", path)
        eventually(lambda: not api.get(queue).get("effective_policy_definition"), seconds=SECONDS)


def test_queue_overflow_drops_its_head(stage: Stage) -> None:
    with policy(stage, Tier.LOW, max_length=2, overflow="drop-head"):
        first, *others = [stage.publish("deadly.succeed", tier=Tier.LOW) for _ in range(3)]
        told = stage.until(first, "dead_lettered", dead=True)
    (letter,) = told.letters
    assert (letter["reason"], letter["queue"], letter["end_state"]) == ("maxlen", Tier.LOW.queue, "dead_lettered")
    assert (told.run["trace_id"], told.attempts, first.executions) == (first.trace_id, [], 0)
    assert stage.dead_letter_of(first)
    worker = stage.worker(Tier.LOW)
    for sent in others:
        expect(stage, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0


def test_queue_overflow_refuses_the_publisher(stage: Stage) -> None:
    stage.start("dispatch")
    with policy(stage, Tier.HIGH, max_length=1, overflow="reject-publish"):
        requests = [request(stage, Tier.HIGH) for _ in range(4)]
        eventually(lambda: sorted(states(stage, requests)) == ["published", "requested", "requested", "requested"])
        eventually(lambda: "refused by the broker" in stage.processes["dispatch"].log, seconds=SECONDS)
    worker = stage.worker(Tier.HIGH)
    for sent in requests:
        expect(stage, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0
    assert stage.depth(Tier.HIGH.queue) == 0


def states(stage: Stage, requests: list[Sent]) -> list[str]:
    """Where the runs are, as far as they are known."""
    return [told.run["state"] for sent in requests if (told := stage.look(sent))]
