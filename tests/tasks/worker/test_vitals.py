"""What probes and ``ledgerq status`` see of a worker that is stopped, cut off or at work."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.tier import Tier
from infra.broker.granting import describe, grant
from infra.broker.management import ManagementApi
from infra.broker.passwords import login_url, new_password, set_password
from infra.health.component import Component
from infra.health.database import DatabaseSight
from tests.infra.broker.relay import Relay
from tests.tasks.worker.lab import ROOT, Lab, WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

PROBE = ROOT / "infra/deploy/probe"
HANG_AFTER = "3"
REFUSED = "the broker refuses this worker"


@pytest.fixture
def pulse_dir(tmp_path: Path) -> Path:
    return tmp_path / "pulse"


@pytest.fixture
def wire(stored_lab: Lab) -> Iterator[Relay]:
    with closing(Relay(stored_lab.settings)) as laid:
        yield laid


@pytest.fixture
def worker(stored_lab: Lab, wire: Relay, pulse_dir: Path) -> Iterator[WorkerProcess]:
    started = stored_lab.worker(
        Tier.HIGH,
        LEDGERQ_BROKER_URL=wire.settings.broker_url.get_secret_value(),
        LEDGERQ_PULSE_DIR=str(pulse_dir),
        LEDGERQ_PULSE_INTERVAL_SECONDS="0.2",
        LEDGERQ_HANG_AFTER_SECONDS=HANG_AFTER,
    )
    yield started
    started.kill()


def probe(kind: str, directory: Path) -> bool:
    environment = {**os.environ, "LEDGERQ_PULSE_DIR": str(directory), "LEDGERQ_HANG_AFTER_SECONDS": HANG_AFTER}
    return subprocess.run([PROBE, kind, "worker-high"], env=environment, check=False).returncode == 0


def celery(lab: Lab) -> Component:
    """The component, as ``ledgerq status`` tells it."""
    quick = {"pulse_interval_seconds": 0.2, "hang_after_seconds": float(HANG_AFTER)}
    with closing(DatabaseSight(lab.settings.model_copy(update=quick))) as sight:
        return sight.look()["celery"]


def manners(lab: Lab) -> list[str]:
    return [worker["status"] for worker in celery(lab).facts["workers"].values()]


def active(lab: Lab, worker: WorkerProcess) -> set[tuple[str, str]]:
    """What the worker is seen to execute."""
    seen = [told for name, told in celery(lab).facts["workers"].items() if name.endswith(f":{worker.pid}")]
    return {(task["run_id"], task["task"]) for told in seen for task in told.get("active", ())}


def test_a_worker_that_is_stopped_shows_as_hanging_until_it_goes_on(
    stored_lab: Lab, worker: WorkerProcess, pulse_dir: Path
) -> None:
    eventually(lambda: probe("ready", pulse_dir) and probe("live", pulse_dir))
    eventually(lambda: manners(stored_lab) == ["working"])
    os.kill(worker.pid, signal.SIGSTOP)
    eventually(lambda: not probe("live", pulse_dir))
    eventually(lambda: manners(stored_lab) == ["hangs"])
    eventually(lambda: celery(stored_lab).facts["workers_count"] == 0)
    os.kill(worker.pid, signal.SIGCONT)
    eventually(lambda: probe("ready", pulse_dir) and probe("live", pulse_dir))


def test_liveness_survives_a_broker_that_is_away_and_readiness_does_not(
    worker: WorkerProcess, wire: Relay, pulse_dir: Path
) -> None:
    eventually(lambda: probe("ready", pulse_dir))
    wire.close()
    eventually(lambda: not probe("ready", pulse_dir))
    touched = (pulse_dir / "worker-high.live").stat().st_mtime
    eventually(lambda: (pulse_dir / "worker-high.live").stat().st_mtime > touched + 2 * float(HANG_AFTER))
    eventually(lambda: probe("live", pulse_dir))
    assert not (pulse_dir / "worker-high.ready").exists()
    assert worker.is_alive()


def test_a_worker_with_an_old_password_works_on_and_once_it_is_cut_off_it_lives_and_waits_to_be_let_in(
    stored_lab: Lab, pulse_dir: Path
) -> None:
    api = ManagementApi(stored_lab.settings)
    describe(api)
    grant(api)
    set_password(api, "worker", password := new_password())
    url = SecretStr(login_url(stored_lab.settings, "worker", vhost=api.vhost, password=password))
    with closing(Relay(stored_lab.settings.model_copy(update={"broker_url": url}))) as wire:
        url = wire.settings.broker_url
        pulse = {"LEDGERQ_PULSE_DIR": str(pulse_dir)}
        worker = stored_lab.worker(Tier.HIGH, LEDGERQ_BROKER_URL=url.get_secret_value(), **pulse)
        eventually(lambda: probe("ready", pulse_dir))
        eventually(lambda: b"worker high recorder" in wire.sent)
        set_password(api, "worker", new_password())
        first = stored_lab.publish("lab.add", 20, 22, tier=Tier.HIGH)
        stored_lab.ear.until(first, "task.succeeded 1")
        wire.cut()
        eventually(lambda: REFUSED in worker.log.read_text())
        eventually(lambda: not probe("ready", pulse_dir), seconds=2)
        touched = (pulse_dir / "worker-high.live").stat().st_mtime
        eventually(lambda: (pulse_dir / "worker-high.live").stat().st_mtime > touched + 2)
        said = worker.log.read_text()
        assert (said.count(REFUSED), "Frequent restarts" in said) == (1, False), said
        set_password(api, "worker", password)
        worker.wait_ready(times=2)
        eventually(lambda: probe("ready", pulse_dir))
        assert worker.stop() == 0


def test_what_a_worker_executes_is_told_with_the_run_and_its_end_too(
    stored_lab: Lab, worker: WorkerProcess, tmp_path: Path
) -> None:
    marks, go = tmp_path / "marks", tmp_path / "go"
    run = stored_lab.publish("lab.wait_for", str(marks), str(go), tier=Tier.HIGH)
    eventually(marks.exists)
    eventually(lambda: celery(stored_lab).facts["active_tasks"] == 1)
    executed = {(run, "lab.wait_for")}
    eventually(lambda: executed == active(stored_lab, worker))
    go.touch()
    eventually(lambda: celery(stored_lab).facts["active_tasks"] == 0)
    assert worker.stop() == 0
    eventually(lambda: celery(stored_lab).facts["workers"] == {})
    assert not (tmp_path / "pulse" / "worker-high.live").exists()
