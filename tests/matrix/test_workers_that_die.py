"""What a worker can die of, and what it must live through: one test for each row of docs/failures.md."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from domain.tier import Tier
from infra.broker.management import ManagementApi
from tests.matrix.expecting import AGAIN, Why, expect
from tests.matrix.stage import SECONDS, STOCK, Sent, Stage, Worker
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.timeout(300)]


def test_whole_worker_killed_again_and_again(stage: Stage, tmp_path: Path) -> None:
    sent = stage.publish("deadly.wait", str(tmp_path / "never"), tier=Tier.HIGH)
    for attempt in (1, 2, 3):
        worker = stage.worker(Tier.HIGH)
        until_it_runs(stage, sent, attempt)
        worker.kill()
    last = stage.worker(Tier.HIGH)
    why = Why("Redelivered", "died or lost its connection", "redelivered")
    told = expect(stage, sent, "lost", outcomes=[AGAIN, AGAIN, "lost"], executions=3, why=why)
    assert len({attempt["pid"] for attempt in told.attempts}) == 3
    assert last.lives
    assert last.stop() == 0
    assert stage.depth(Tier.HIGH.queue) == 0


def test_connection_lost_while_a_task_runs(stage: Stage, tmp_path: Path) -> None:
    worker = stage.worker(Tier.CRITICAL, concurrency=1)
    go = tmp_path / "go"
    sent = stage.publish("deadly.wait", str(go), tier=Tier.CRITICAL)
    until_it_runs(stage, sent, 1)
    assert cut_connections(stage, worker) > 0
    worker.wait_ready(times=2)
    go.touch()
    expect(stage, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    after = stage.publish("deadly.succeed", tier=Tier.CRITICAL)
    expect(stage, after, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0
    assert stage.depth(Tier.CRITICAL.queue) == 0


def until_it_runs(stage: Stage, sent: Sent, attempt: int) -> None:
    """Wait until it is known that the attempt was begun."""
    if STOCK:
        eventually(lambda: sent.executions == attempt, seconds=SECONDS)
        return

    def runs() -> bool:
        told = stage.look(sent)
        return told is not None and len(told.attempts) == attempt and told.outcomes[-1] == "running"

    eventually(runs, seconds=SECONDS)


def cut_connections(stage: Stage, worker: Worker) -> int:
    """Have the broker close every connection of a worker's main process; how many those were."""
    api = ManagementApi(stage.settings)
    mark = f"(pid {worker.process.pid} on"

    def found() -> list[str]:
        """The API learns of a connection within seconds."""
        told = api.get(api.of_vhost("vhosts") + "/connections")
        return [c["name"] for c in told if mark in c.get("client_properties", {}).get("connection_name", "")]

    names = eventually(lambda: found() if len(found()) > 1 else [], seconds=SECONDS)
    for name in names:
        api.call("DELETE", f"connections/{quote(name, safe='')}", absent_is_fine=True)
    return len(names)
