"""Priority: strict within a queue, a tier's own workers, and kept wherever a run and what it starts go."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from domain.tier import Tier
from tests.tasks.worker.lab import ROOT, Lab, WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

STRICT = {"LEDGERQ_WORKER_AHEAD_MS": "0"}


@pytest.fixture
def high(lab: Lab) -> Iterator[WorkerProcess]:
    """A strict worker of the tier ``high`` whose results can be read by others."""
    worker = lab.worker(Tier.HIGH, concurrency=2, LAB_RESULTS=results(lab), **STRICT)
    yield worker
    assert worker.stop() == 0


def results(lab: Lab) -> str:
    directory = lab.directory / "results"
    directory.mkdir(exist_ok=True)
    return f"file://{directory}"


def canvas(lab: Lab, kind: str, *, priority: int) -> list[str]:
    """Have a client ask for a chain or a chord; the ids of its runs."""
    ran = subprocess.run(
        (sys.executable, "-m", "tests.tasks.worker.canvas", kind, Tier.HIGH.queue, str(priority)),
        cwd=ROOT,
        env={**os.environ, **lab.environment, "LAB_RESULTS": results(lab)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout.split()


def test_no_run_starts_before_a_more_urgent_one_that_waits_in_its_queue(lab: Lab, tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    worker = lab.worker(Tier.NORMAL, **STRICT)
    lab.publish("lab.wait_for", str(started), str(go))
    eventually(started.exists)
    waiting = [(lab.publish("lab.add", 1, 1, priority=p), p) for p in (1, 0, 3, 1, 5, 2, 0, 4, 3, 5)]
    go.touch()
    for run, _ in waiting:
        lab.ear.until(run, "task.succeeded 1")
    begun = sorted(waiting, key=lambda each: lab.ear.event(each[0], "task.started 1").attributes["time"])
    assert [priority for _, priority in begun] == [5, 5, 4, 3, 3, 2, 1, 1, 0, 0]
    assert worker.stop() == 0


def test_a_full_tier_holds_up_no_other(lab: Lab, tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    low, critical = lab.worker(Tier.LOW), lab.worker(Tier.CRITICAL)
    blocked = [lab.publish("lab.wait_for", str(started), str(go), tier=Tier.LOW) for _ in range(5)]
    eventually(started.exists)
    urgent = lab.publish("lab.add", 1, 1, tier=Tier.CRITICAL)
    lab.ear.until(urgent, "task.succeeded 1")
    assert not any("task.succeeded 1" in lab.ear.story(run) for run in blocked)
    go.touch()
    for run in blocked:
        lab.ear.until(run, "task.succeeded 1")
    assert (low.stop(), critical.stop()) == (0, 0)


@pytest.mark.usefixtures("high")
def test_every_link_of_a_chain_has_the_priority_and_the_tier_of_the_first(lab: Lab) -> None:
    first, second, third = canvas(lab, "chain", priority=7)
    lab.ear.until(third, "task.succeeded 1", seconds=40)
    assert lab.ear.event(third, "task.succeeded 1").data["result"] == "8"
    for run, told in ((first, "task.started 1"), (second, "task.started 2"), (third, "task.started 1")):
        data = lab.ear.event(run, told).data
        assert (data["priority"], data["queue"]) == (7, Tier.HIGH.queue)


@pytest.mark.usefixtures("high")
def test_the_body_of_a_chord_has_the_priority_and_the_tier_of_its_members(lab: Lab) -> None:
    *members, body = canvas(lab, "chord", priority=6)
    lab.ear.until(body, "task.succeeded 1", seconds=60)
    assert lab.ear.event(body, "task.succeeded 1").data["result"] == '{"total":6,"priority":6}'
    assert lab.ear.event(body, "task.started 1").data["queue"] == Tier.HIGH.queue
    assert [lab.ear.event(run, "task.started 1").data["priority"] for run in members] == [6, 6]


@pytest.mark.usefixtures("high")
@pytest.mark.parametrize(
    ("options", "expected"), [({}, (3, "tasks.high")), ({"queue": "tasks.low", "priority": 1}, (1, "tasks.low"))]
)
def test_what_a_run_starts_inherits_what_it_does_not_say(
    lab: Lab, options: dict[str, object], expected: tuple[int, str]
) -> None:
    low = lab.worker(Tier.LOW)
    run = lab.publish("lab.start_another", tier=Tier.HIGH, priority=3, options=options)
    lab.ear.until(run, "task.succeeded 1")
    other = lab.ear.event(run, "task.succeeded 1").data["result"].strip('"')
    lab.ear.until(other, "task.succeeded 1")
    data = lab.ear.event(other, "task.started 1").data
    assert (data["priority"], data["queue"]) == expected
    assert low.stop() == 0


def test_a_run_that_comes_late_still_has_its_priority(lab: Lab) -> None:
    worker = lab.worker(Tier.NORMAL)
    eta = datetime.fromisoformat("2026-01-01T00:00:00+00:00").isoformat()
    run = lab.publish("lab.fail", priority=4, headers={"eta": eta})
    lab.ear.until(run, "task.failed 3")
    assert [lab.ear.event(run, f"task.started {n}").data["priority"] for n in (1, 2, 3)] == [4, 4, 4]
    assert lab.ear.dead_letter(run).priority == 4
    assert worker.stop() == 0
