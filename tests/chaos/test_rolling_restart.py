"""Workers are replaced one after the other while runs keep coming: none is lost, none is executed twice unrecorded.

``LAB_RESTARTS=20`` replaces so many; ``-s`` shows the figures.
"""

import json
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from domain.tier import Tier
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.settings import Settings
from tests.tasks.worker.endings import ENDS
from tests.tasks.worker.lab import Lab, WorkerProcess, laboratory
from tests.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

TIER = Tier.NORMAL
RESTARTS = int(os.environ.get("LAB_RESTARTS", "3"))
RUNS_PER_SECOND = 20
SEED = 11
GRACE = {"LEDGERQ_SHUTDOWN_GRACE_SECONDS": "1"}


class Load(threading.Thread):
    """Publishes runs until it is told to stop: short ones, ones that fail or snooze first, and a few that take long."""

    def __init__(self, lab: Lab, lines: Path) -> None:
        super().__init__(daemon=True)
        self._lab, self._lines = lab, lines
        self._chance = random.Random(SEED)
        self._stopping = threading.Event()
        self.runs: list[str] = []

    def run(self) -> None:
        with closing(Publisher(self._lab.settings, role="load")) as publisher:
            while not self._stopping.wait(1 / RUNS_PER_SECOND):
                message = self._message()
                [told] = publisher.publish([message], timeout=timedelta(seconds=60))
                assert told.confirmed
                self.runs.append(str(message.headers["id"]))

    def stop(self) -> list[str]:
        self._stopping.set()
        self.join(70)
        return self.runs

    def _message(self) -> OutgoingMessage:
        run = str(uuid4())
        then = self._chance.choices(("return", "fail", "snooze"), (6, 2, 2))[0]
        seconds = self._chance.choices((0.02, 0.2, 4.0), (70, 28, 2))[0]
        kwargs = {"seconds": seconds, "then": then}
        return OutgoingMessage(
            exchange="tasks",
            routing_key=TIER.queue,
            body=json.dumps([[str(self._lines)], kwargs, {}]).encode(),
            headers={"id": run, "task": "lab.mark", "lab-id": run},
            content_type="application/json",
            content_encoding="utf-8",
            priority=self._chance.randint(1, 5),
        )


@pytest.fixture
def lab(servers: Settings, tmp_path: Path) -> Iterator[Lab]:
    with laboratory(servers, tmp_path) as made:
        yield made


def replace(lab: Lab, old: WorkerProcess) -> WorkerProcess:
    new = lab.worker(TIER, 2, **GRACE)
    assert old.stop() == 0
    return new


def ends(lab: Lab, run: str) -> list[str]:
    return [told for told in lab.ear.story(run) if told.split()[0] in ENDS]


def test_workers_replaced_under_load_lose_nothing_and_repeat_nothing_unrecorded(lab: Lab, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    worker = lab.worker(TIER, 2, **GRACE)
    load = Load(lab, lines)
    load.start()
    for restart in range(RESTARTS):
        before = len(load.runs)
        eventually(lambda before=before: len(load.runs) >= before + RUNS_PER_SECOND, seconds=60)
        worker = replace(lab, worker)
        del restart
    runs = load.stop()
    eventually(lambda: all(ends(lab, run) for run in runs), seconds=120, every=0.5)

    assert [run for run in runs if len(ends(lab, run)) != 1] == []
    assert {end.split()[0] for run in runs for end in ends(lab, run)} == {"task.succeeded"}
    executions = Counter(lines.read_text().splitlines())
    assert [execution for execution, times in executions.items() if times > 1] == []
    started = {f"{run} {told.split()[1]}" for run in runs for told in lab.ear.story(run) if "started" in told}
    assert set(executions) == started
    spent_by = Counter(
        heard.data["spent_by"] for run in runs for heard in lab.ear.heard[run] if heard.name == "task.retry_scheduled"
    )
    assert set(spent_by) <= {"exception", "snooze", "shutdown"}
    assert worker.stop() == 0
    assert lab.depth(TIER.queue) == 0
    sys.stdout.write(f"{RESTARTS} restarts, {len(runs)} runs, {len(executions)} executions, {dict(spent_by)}\n")
