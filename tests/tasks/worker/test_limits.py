"""Limits of a task hold over all workers: how often it begins, and how many of its runs there are at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from domain.limits import Limits, RateLimit
from domain.tier import Tier
from infra.database.permits import LEASE
from infra.settings import Settings
from tasks.task_commands import task as task_command
from tests.tasks.worker.hearing import database_away, until_heard
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.tasks.worker.lab_tasks import limited_rate
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.LOW
LIMITS: Limits = limited_rate.limits


@pytest.fixture(scope="module", autouse=True)
def environment(stored_lab: Lab) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stored_lab.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def workers(stored_lab: Lab) -> Iterator[list[WorkerProcess]]:
    """Two workers with two children each."""
    workers = [stored_lab.worker(TIER, concurrency=2) for _ in range(2)]
    yield workers
    for worker in workers:
        if worker.is_alive():
            assert worker.stop() == 0
    assert stored_lab.depth(TIER.queue) == 0


def beginnings(lab: Lab, runs: list[str]) -> list[datetime]:
    """When those runs began that have, in order."""
    told = (lab.ear.event(run, "task.started 1") for run in runs if "task.started 1" in lab.ear.story(run))
    return sorted(datetime.fromisoformat(heard.attributes["time"]) for heard in told)


def most_within(moments: list[datetime], period: timedelta) -> int:
    return max(sum(first <= at < first + period for at in moments) for first in moments)


@pytest.mark.usefixtures("workers")
def test_no_period_has_more_beginnings_than_the_rate_allows_and_what_it_allows_is_used(stored_lab: Lab) -> None:
    rate = LIMITS.rate
    assert isinstance(rate, RateLimit)
    runs = [stored_lab.publish("lab.limited_rate", tier=TIER) for _ in range(2 * rate.permits)]
    eventually(lambda: len(beginnings(stored_lab, runs)) == len(runs), seconds=90)
    moments = beginnings(stored_lab, runs)
    most = most_within(moments, rate.per)
    took = moments[-1] - moments[0]
    assert most <= rate.permits, moments
    assert took < 2 * (len(runs) / rate.permits) * rate.per, took
    for run in runs:
        story = stored_lab.ear.until(run, "task.succeeded 1")
        assert story in (
            ["task.started 1", "task.succeeded 1"],
            ["task.received 1", "task.started 1", "task.succeeded 1"],
        )
    waited = [run for run in runs if "task.received 1" in stored_lab.ear.story(run)]
    assert {stored_lab.ear.event(run, "task.received 1").data["because"] for run in waited} == {"rate_limited"}


class Crowd:
    """Runs of one license, each waiting in its task until it is let go."""

    def __init__(self, lab: Lab, directory: Path, *, license_id: str, count: int, **headers: Any) -> None:
        self.lab = lab
        self.go = directory / f"go-{license_id}"
        arguments = {"started": str(directory / f"started-{license_id}"), "go": str(self.go)}
        if not headers:
            arguments["license_id"] = license_id
        self.runs = [
            lab.publish("lab.limited_to_two", tier=TIER, headers=headers or None, **arguments) for _ in range(count)
        ]

    def is_told(self, what: str) -> list[str]:
        """Those of whom that was told last."""
        return [run for run in self.runs if self.lab.ear.story(run)[-1:] == [what]]

    def running(self) -> list[str]:
        return [run for run in self.runs if "task.started" in "".join(self.lab.ear.story(run)[-1:])]


@pytest.mark.usefixtures("workers")
def test_of_each_key_no_more_run_at_once_than_allowed_and_the_others_wait(stored_lab: Lab, tmp_path: Path) -> None:
    one = Crowd(stored_lab, tmp_path, license_id="l1", count=4)
    eventually(lambda: len(one.running()) == 2 and len(one.is_told("task.received 1")) == 2, seconds=30)
    other = Crowd(stored_lab, tmp_path, license_id="l2", count=1, **{"ledgerq-license-id": "l2"})
    eventually(lambda: len(other.running()) == 1, seconds=30)
    (waiting, _) = one.is_told("task.received 1")
    assert stored_lab.ear.event(waiting, "task.received 1").data["because"] == "concurrency_limited"
    assert len(one.running()) == 2
    for crowd in (one, other):
        crowd.go.touch()
        for run in crowd.runs:
            stored_lab.ear.until(run, "task.succeeded 1", seconds=60)


def test_the_runs_of_a_killed_worker_have_their_places_again_elsewhere(
    stored_lab: Lab, workers: list[WorkerProcess], tmp_path: Path
) -> None:
    crowd = Crowd(stored_lab, tmp_path, license_id="l3", count=3)
    eventually(lambda: len(crowd.running()) == 2 and len(crowd.is_told("task.received 1")) == 1, seconds=30)
    for worker in workers:
        worker.kill()
    newcomer = stored_lab.worker(TIER, concurrency=4)
    eventually(lambda: len(begun_by(newcomer, crowd)) == 2, seconds=LEASE.total_seconds() + 60)
    until_heard(stored_lab)
    assert len(begun_by(newcomer, crowd)) == 2
    crowd.go.touch()
    eventually(lambda: all("task.succeeded" in "".join(stored_lab.ear.story(run)) for run in crowd.runs), seconds=60)
    assert newcomer.stop() == 0


def begun_by(worker: WorkerProcess, crowd: Crowd) -> list[str]:
    """Those of the crowd's runs that this worker has begun."""
    mark = f":{worker.pid}"
    return [
        run
        for run in crowd.runs
        if any(h.name == "task.started" and h.data["worker"].endswith(mark) for h in crowd.lab.ear.heard[run])
    ]


def test_a_run_of_a_killed_worker_that_does_not_come_again_holds_its_place_for_a_lease(
    stored_lab: Lab, workers: list[WorkerProcess], tmp_path: Path
) -> None:
    """Its message is purged: only the lease says that it might still be there."""
    crowd = Crowd(stored_lab, tmp_path, license_id="l4", count=2)
    eventually(lambda: len(crowd.running()) == 2, seconds=30)
    for worker in workers:
        worker.kill()
    with stored_lab.channel() as channel:
        eventually(lambda: stored_lab.depth(TIER.queue) == 2)
        channel.queue_purge(TIER.queue)
    newcomer = stored_lab.worker(TIER, concurrency=4)
    began = datetime.now(UTC)
    crowd.go.touch()
    third = Crowd(stored_lab, tmp_path, license_id="l4", count=1)
    eventually(lambda: third.is_told("task.received 1"))
    stored_lab.ear.until(third.runs[0], "task.succeeded 1", seconds=LEASE.total_seconds() + 60)
    waited = datetime.now(UTC) - began
    assert waited > LEASE / 4
    assert newcomer.stop() == 0


@pytest.mark.usefixtures("workers")
def test_while_the_database_is_away_limited_tasks_wait_and_others_run(stored_lab: Lab, servers: Settings) -> None:
    with database_away(stored_lab, servers):
        run = stored_lab.publish("lab.limited_rate", tier=TIER)
        other = stored_lab.publish("lab.add", 1, 2, tier=TIER)
        stored_lab.ear.until(run, "task.received 1", seconds=30)
        stored_lab.ear.until(other, "task.succeeded 1", seconds=30)
        assert stored_lab.ear.event(run, "task.received 1").data["because"] == "limiter_away"
        assert "task.started 1" not in stored_lab.ear.story(run)
    assert stored_lab.ear.until(run, "task.succeeded 1", seconds=60)[0] == "task.received 1"


@pytest.mark.usefixtures("workers")
def test_limits_that_people_set_hold_in_place_of_those_that_are_declared(stored_lab: Lab) -> None:
    def ask(*options: str) -> None:
        done = CliRunner().invoke(task_command, ["limit", "lab.shared", *options, "--reason", str(uuid4())])
        assert done.exit_code == 0, done.output
        until_heard(stored_lab, 2)

    ask("--rate", "1/h")
    runs = [stored_lab.publish("lab.shared", x=1, tier=TIER) for _ in range(3)]
    eventually(lambda: len(beginnings(stored_lab, runs)) == 1)
    eventually(lambda: sum("task.received 1" in stored_lab.ear.story(run) for run in runs) == 2)
    assert len(beginnings(stored_lab, runs)) == 1
    ask("--as-declared")
    free = stored_lab.publish("lab.shared", x=1, tier=TIER)
    stored_lab.ear.until(free, "task.succeeded 1")
