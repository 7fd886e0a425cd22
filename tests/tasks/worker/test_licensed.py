"""Runs that name a license: it admits, defers, refuses or revokes them, and the log says which of its events did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.license_policy import Expiry, LicensePolicy
from domain.tier import Tier
from infra.event_store import EventStore
from infra.settings import Settings
from tests.tasks.worker.endings import end
from tests.tasks.worker.hearing import database_away, until_heard
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.tasks.worker.licensing import Licensor, now
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.NORMAL
TURN = 30
"""Seconds within which a held message has come back from the delay ladder, on a machine that others use too."""


@pytest.fixture(scope="module")
def store(stored_lab: Lab) -> Iterator[EventStore]:
    with EventStore(stored_lab.settings.database_url.get_secret_value(), name="licensor") as opened:
        yield opened


@pytest.fixture
def worker(stored_lab: Lab) -> Iterator[WorkerProcess]:
    worker = stored_lab.worker(TIER)
    yield worker
    assert worker.is_alive(), worker.log.read_text()
    assert worker.stop() == 0
    assert stored_lab.depth(TIER.queue) == 0


def publish(lab: Lab, licensor: Licensor | str, task: str = "lab.add", *args: Any, **kwargs: Any) -> str:
    name = licensor if isinstance(licensor, str) else licensor.license_id
    headers = {"ledgerq-license-id": name, **kwargs.pop("headers", {})}
    return lab.publish(task, *(args or ((1, 2) if task == "lab.add" else ())), headers=headers, **kwargs)


def running(lab: Lab, licensor: Licensor, directory: Path) -> tuple[str, Path]:
    """A run that has begun, and the file that would let it end."""
    run = publish(lab, licensor, "lab.wait_for", started=str(directory / "started"), go=str(directory / "go"))
    lab.ear.until(run, "task.started 1")
    return run, directory / "go"


@pytest.mark.usefixtures("worker")
def test_an_active_license_admits_and_the_attempt_says_by_which_event(stored_lab: Lab, store: EventStore) -> None:
    licensor = Licensor(store)
    first = publish(stored_lab, licensor)
    assert end(stored_lab, first) == "task.succeeded 1"
    assert stored_lab.ear.event(first, "task.started 1").data["admitted_by"] == licensor.issued
    licensor.suspend()
    reinstated = licensor.reinstate()

    def admitted_by() -> bool:
        run = publish(stored_lab, licensor)
        assert end(stored_lab, run) == "task.succeeded 1"
        return bool(stored_lab.ear.event(run, "task.started 1").data["admitted_by"] == reinstated)

    eventually(admitted_by)


@pytest.mark.usefixtures("worker")
def test_a_license_that_was_never_issued_decides_nothing(stored_lab: Lab) -> None:
    for name in ("lic-nobody-knows", "lic-\0"):
        run = publish(stored_lab, name)
        assert end(stored_lab, run) == "task.succeeded 1"
        assert "admitted_by" not in stored_lab.ear.event(run, "task.started 1").data


def test_a_suspended_license_defers_across_the_death_of_a_worker_and_its_reinstatement_lets_the_same_attempt_begin(
    stored_lab: Lab, store: EventStore, tmp_path: Path
) -> None:
    licensor, marks = Licensor(store), tmp_path / "marks"
    suspended = licensor.suspend()
    first = stored_lab.worker(TIER)
    run = publish(stored_lab, licensor, "lab.mark", str(marks), seconds=0.0, then="")
    stored_lab.ear.until(run, "task.received 1")
    first.kill()
    second = stored_lab.worker(TIER)
    reinstated = licensor.reinstate()
    stored_lab.ear.until(run, "task.succeeded 1", seconds=TURN)
    held = stored_lab.ear.event(run, "task.received 1").data
    assert (held["because"], held["decided_by"]) == ("license_suspended", suspended)
    assert stored_lab.ear.event(run, "task.started 1").data["admitted_by"] == reinstated
    assert stored_lab.ear.story(run) == ["task.received 1", "task.started 1", "task.succeeded 1"]
    assert marks.read_text() == f"{run} 1\n"
    assert second.stop() == 0
    assert stored_lab.depth(TIER.queue) == 0


@pytest.mark.usefixtures("worker")
def test_a_deferred_run_ends_as_expired_when_its_time_has_passed(stored_lab: Lab, store: EventStore) -> None:
    licensor = Licensor(store)
    licensor.suspend()
    run = publish(stored_lab, licensor, headers={"expires": (now() + timedelta(seconds=4)).isoformat()})
    stored_lab.ear.until(run, "task.expired 1", seconds=TURN)
    assert stored_lab.ear.story(run) == ["task.received 1", "task.expired 1"]


def test_a_license_revoked_while_no_worker_is_there_lets_nothing_begin(
    stored_lab: Lab, store: EventStore, tmp_path: Path
) -> None:
    licensor, marks = Licensor(store), tmp_path / "marks"
    runs = [publish(stored_lab, licensor, "lab.mark", str(marks), seconds=0.0, then="") for _ in range(3)]
    revoked = licensor.revoke()
    worker = stored_lab.worker(TIER)
    for run in runs:
        assert end(stored_lab, run) == "task.revoked 1"
        assert stored_lab.ear.story(run) == ["task.revoked 1"]
        told = stored_lab.ear.event(run, "task.revoked 1").data
        assert (told["error_type"], told["decided_by"]) == ("LicenseRevoked", revoked)
        assert not stored_lab.ear.dead_letters(run)
    assert not marks.exists()
    assert worker.stop() == 0
    assert stored_lab.depth(TIER.queue) == 0


@pytest.mark.usefixtures("worker")
def test_a_license_revoked_while_its_run_is_executed_ends_it_and_what_waits_behind_it(
    stored_lab: Lab, store: EventStore, tmp_path: Path
) -> None:
    licensor, other = Licensor(store), Licensor(store)
    run, _never = running(stored_lab, licensor, tmp_path)
    behind = [publish(stored_lab, each) for each in (licensor, other)]
    revoked = licensor.revoke()
    assert end(stored_lab, run) == "task.revoked 1"
    assert stored_lab.ear.event(run, "task.revoked 1").data["decided_by"] == revoked
    assert [end(stored_lab, each) for each in behind] == ["task.revoked 1", "task.succeeded 1"]
    assert stored_lab.ear.story(behind[0]) == ["task.revoked 1"]


@pytest.mark.usefixtures("worker")
def test_a_suspension_lets_go_on_what_has_begun_and_holds_what_waits_behind_it(
    stored_lab: Lab, store: EventStore, tmp_path: Path
) -> None:
    licensor = Licensor(store)
    run, go = running(stored_lab, licensor, tmp_path)
    behind = publish(stored_lab, licensor)
    suspended = licensor.suspend()
    until_heard(stored_lab, of="licenses")
    go.touch()
    assert end(stored_lab, run) == "task.succeeded 1"
    stored_lab.ear.until(behind, "task.received 1")
    assert stored_lab.ear.event(behind, "task.received 1").data["decided_by"] == suspended
    revoked = licensor.revoke()
    stored_lab.ear.until(behind, "task.revoked 1", seconds=TURN)
    assert stored_lab.ear.event(behind, "task.revoked 1").data["decided_by"] == revoked
    assert stored_lab.ear.story(behind) == ["task.received 1", "task.revoked 1"]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "not yet recorded"])
@pytest.mark.parametrize(
    ("expiry", "ended", "is_dead"),
    [
        (Expiry.RESTRICT, "task.rejected 1", True),
        (Expiry.REVOKE, "task.revoked 1", False),
        (Expiry.MAINTAIN, "task.succeeded 1", False),
    ],
    ids=["restrict", "revoke", "maintain"],
)
def test_an_expired_license_does_what_its_policy_says(
    stored_lab: Lab, store: EventStore, *, expiry: Expiry, ended: str, is_dead: bool, is_recorded: bool
) -> None:
    licensor = Licensor(store, policy=LicensePolicy(expiry=expiry), term=timedelta(seconds=-1))
    decided_by = licensor.expire() if is_recorded else licensor.issued
    run = publish(stored_lab, licensor)
    if not is_recorded and expiry is not Expiry.MAINTAIN:  # it may have been renewed in time; nobody knows yet
        stored_lab.ear.until(run, "task.received 1")
        told = stored_lab.ear.event(run, "task.received 1").data
        assert (told["because"], told["decided_by"]) == ("license_term_over", licensor.issued)
        decided_by = licensor.expire()
    stored_lab.ear.until(run, ended, seconds=TURN)
    if ended == "task.succeeded 1":
        assert stored_lab.ear.event(run, "task.started 1").data["admitted_by"] == decided_by
    else:
        told = stored_lab.ear.event(run, ended).data
        assert (told["error_type"], told["decided_by"]) == ("LicenseExpired", decided_by)
    if is_dead:
        assert stored_lab.ear.dead_letter(run)
    else:
        assert not stored_lab.ear.dead_letters(run)


def test_without_the_database_known_licenses_admit_and_runs_of_others_wait_for_it(
    stored_lab: Lab, store: EventStore, worker: WorkerProcess, servers: Settings
) -> None:
    known, unknown = Licensor(store), Licensor(store)
    assert end(stored_lab, publish(stored_lab, known)) == "task.succeeded 1"
    with database_away(stored_lab, servers):
        waiting = publish(stored_lab, unknown)
        stored_lab.ear.until(waiting, "task.received 1")
        assert end(stored_lab, publish(stored_lab, known)) == "task.succeeded 1"
        assert end(stored_lab, stored_lab.publish("lab.add", 1, 2)) == "task.succeeded 1"
        assert stored_lab.ear.event(waiting, "task.received 1").data["because"] == "license_away"
    stored_lab.ear.until(waiting, "task.succeeded 1", seconds=TURN)
    assert stored_lab.ear.event(waiting, "task.started 1").data["admitted_by"] == unknown.issued
    assert "how licenses stand cannot be read" in worker.log.read_text()
