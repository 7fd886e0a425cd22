"""Runs that are taken back: waiting, running, or with nobody there to hear of it."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from celery.exceptions import TaskRevokedError
from click.testing import CliRunner, Result

from domain.tier import Tier
from infra.event_store.revocations import Revocation
from infra.settings import Settings
from tasks.app import app
from tasks.task_commands import task as task_command
from tasks.worker.attempt import Attempt
from tasks.worker.pace import Pace
from tasks.worker.request import RecordedRequest
from tasks.worker.revoking import GRACE_SECONDS, Revoking
from tests.tasks.worker.endings import end
from tests.tasks.worker.hearing import database_away, until_heard
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.tasks.worker.received import received
from tests.tasks.worker.test_registrar import ATTEMPT, Desk
from tests.waiting import eventually

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", autouse=True)
def environment(stored_lab: Lab) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stored_lab.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def worker(stored_lab: Lab) -> Iterator[WorkerProcess]:
    worker = stored_lab.worker(Tier.NORMAL)
    yield worker
    assert worker.is_alive(), worker.log.read_text()
    assert worker.stop() == 0
    assert stored_lab.depth(Tier.NORMAL.queue) == 0


@pytest.fixture
def desk() -> Desk:
    return Desk()


class Signals:
    """The pool, as far as revoking knows it."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []

    def terminate_job(self, pid: int, signal: int) -> None:
        self.sent.append((pid, signal))


class Asked:
    """Directives that know of one revocation."""

    def revocation_of(self, attempt: Attempt) -> Revocation | None:
        return Revocation(ATTEMPT.run_id, "ordered twice", "pat", 1) if attempt == ATTEMPT else None


def revoke(*runs: str) -> Result:
    return CliRunner().invoke(task_command, ["revoke", *runs, "--reason", "ordered twice", "--task", "lab.wait_for"])


def running(lab: Lab, directory: Path, name: str = "lab.wait_for") -> tuple[str, Path]:
    """A run that has begun, and the file that would let it end."""
    go = directory / "go"
    run = lab.publish(name, started=str(directory / "started"), go=str(go))
    lab.ear.until(run, "task.started 1")
    return run, go


def test_a_run_revoked_while_no_worker_is_there_is_never_begun(stored_lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    runs = [stored_lab.publish("lab.hang", path=str(marks)) for _ in range(3)]
    assert revoke(*runs).exit_code == 0
    worker = stored_lab.worker(Tier.NORMAL)
    for run in runs:
        assert end(stored_lab, run) == "task.revoked 1"
        assert stored_lab.ear.story(run) == ["task.revoked 1"]
        told = stored_lab.ear.event(run, "task.revoked 1").data
        assert told["error_type"] == "Revoked"
        assert told["error"].startswith("ordered twice (asked for by ")
        assert not stored_lab.ear.dead_letters(run)
    assert not marks.exists()
    assert worker.stop() == 0
    assert stored_lab.depth(Tier.NORMAL.queue) == 0


@pytest.mark.usefixtures("worker")
def test_a_run_revoked_while_it_runs_is_ended_and_its_worker_lives_on(stored_lab: Lab, tmp_path: Path) -> None:
    run, _go = running(stored_lab, tmp_path)
    pid = stored_lab.ear.event(run, "task.started 1").data["pid"]
    asked = time.monotonic()
    assert revoke(run).exit_code == 0
    assert end(stored_lab, run) == "task.revoked 1"
    assert time.monotonic() - asked < GRACE_SECONDS
    assert stored_lab.ear.event(run, "task.revoked 1").data["error"].startswith("ordered twice")
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    following = stored_lab.publish("lab.add", 1, 2)
    stored_lab.ear.until(following, "task.succeeded 1")
    assert not stored_lab.ear.dead_letters(run)


@pytest.mark.usefixtures("worker")
def test_a_run_that_does_not_want_to_end_is_killed(stored_lab: Lab, tmp_path: Path) -> None:
    run, _go = running(stored_lab, tmp_path, "lab.deaf")
    assert revoke(run).exit_code == 0
    stored_lab.ear.until(run, "task.revoked 1", seconds=GRACE_SECONDS + 10)
    stored_lab.ear.until(stored_lab.publish("lab.add", 1, 2), "task.succeeded 1")
    assert stored_lab.ear.story(run) == ["task.started 1", "task.revoked 1"]


@pytest.mark.usefixtures("worker")
def test_a_run_revoked_while_it_waits_for_its_time_or_its_next_attempt_is_not_begun(
    stored_lab: Lab, tmp_path: Path
) -> None:
    eta = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    later = stored_lab.publish("lab.wait_for", headers={"eta": eta}, started=str(tmp_path / "s"), go=str(tmp_path))
    again = stored_lab.publish("lab.fail_slowly")
    stored_lab.ear.until(later, "task.received 1")
    stored_lab.ear.until(again, "task.retry_scheduled 1")
    assert revoke(later, again).exit_code == 0
    stored_lab.ear.until(later, "task.revoked 1")
    stored_lab.ear.until(again, "task.revoked 2")
    assert "task.started 1" not in stored_lab.ear.story(later)
    assert "task.started 2" not in stored_lab.ear.story(again)


def test_a_run_revoked_while_it_waits_behind_another_is_not_begun(
    stored_lab: Lab, worker: WorkerProcess, tmp_path: Path
) -> None:
    first, go = running(stored_lab, tmp_path)
    second = stored_lab.publish("lab.add", 1, 2)
    assert revoke(second).exit_code == 0
    until_heard(stored_lab)
    go.touch()
    stored_lab.ear.until(first, "task.succeeded 1")
    assert end(stored_lab, second) == "task.revoked 1"
    assert stored_lab.ear.story(second) == ["task.revoked 1"]
    assert worker.is_alive()


def test_what_is_known_of_revocations_outlasts_the_database_and_new_ones_are_heard_of_when_it_is_back(
    stored_lab: Lab, worker: WorkerProcess, servers: Settings, tmp_path: Path
) -> None:
    known = str(uuid4())
    assert revoke(known).exit_code == 0
    until_heard(stored_lab)
    with database_away(stored_lab, servers):
        eventually(lambda: "cannot be read" in worker.log.read_text(), seconds=30)
        stored_lab.publish("lab.add", 1, 2, headers={"id": known})
        stored_lab.ear.until(known, "task.revoked 1")
        run, _go = running(stored_lab, tmp_path)
    assert revoke(run).exit_code == 0
    stored_lab.ear.until(run, "task.revoked 1", seconds=30)
    assert worker.log.read_text().count("cannot be read") == 1


def test_an_attempt_in_line_is_revoked_there_and_is_not_handed_to_the_pool(desk: Desk) -> None:
    in_hand = desk.deliver()
    request = RecordedRequest(
        received(),
        in_hand=in_hand,
        registrar=desk.registrar,
        pace=Pace(allowance=timedelta(0), children=1),
        app=app,
        task=app.tasks["celery.accumulate"],
    )
    Revoking(Asked(), desk.registrar, Signals()).look()  # type: ignore[arg-type]
    with pytest.raises(TaskRevokedError):
        request.execute_using_pool(None)
    assert desk.recorder.told() == ["task.revoked"]


def test_an_attempt_that_runs_is_told_to_end_once_and_is_killed_after_the_grace(desk: Desk) -> None:
    signals, now = Signals(), [0.0]
    revoking = Revoking(Asked(), desk.registrar, signals, clock=lambda: now[0])  # type: ignore[arg-type]
    in_hand = desk.deliver()
    in_hand.is_sent = True
    revoking.look()
    assert signals.sent == []
    desk.start(in_hand)
    revoking.look()
    now[0] = GRACE_SECONDS
    revoking.look()
    assert signals.sent == [(7, signal.SIGTERM)]
    assert desk.recorder.told() == ["task.started"]
    now[0] = GRACE_SECONDS + 1
    revoking.look()
    revoking.look()
    assert signals.sent == [(7, signal.SIGTERM), (7, signal.SIGKILL)]
    assert desk.recorder.told() == ["task.started", "task.revoked"]


def test_the_directives_of_a_worker_survive_the_death_of_its_children(
    stored_lab: Lab, worker: WorkerProcess, tmp_path: Path
) -> None:
    """A child is a fork of the process that has the connection; its end must not end that."""
    for _ in range(3):
        stored_lab.ear.until(stored_lab.publish("lab.os_exit"), "task.lost 1")
    for child in children(worker.pid):
        os.kill(child, signal.SIGTERM)
    stored_lab.ear.until(stored_lab.publish("lab.add", 1, 2), "task.succeeded 1")
    run, _go = running(stored_lab, tmp_path)
    assert revoke(run).exit_code == 0
    stored_lab.ear.until(run, "task.revoked 1")
    assert "cannot be read" not in worker.log.read_text()


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]
