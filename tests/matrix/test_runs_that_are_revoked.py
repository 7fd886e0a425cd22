"""Runs that somebody takes back, wherever they are: one test for each row of docs/failures.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from domain.tier import Tier
from tests.matrix.expecting import Why, expect
from tests.matrix.stage import SECONDS, Sent, Stage
from tests.matrix.test_workers_that_die import until_it_runs
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.timeout(300)]

BECAUSE = ("--reason", "ordered twice", "--task", "deadly")
WHY = Why("Revoked", "ordered twice")


def revoke(stage: Stage, *runs: Sent) -> None:
    """The way an operator does it."""
    done = subprocess.run(
        (sys.executable, "-m", "infra.cli", "task", "revoke", *(sent.run_id for sent in runs), *BECAUSE),
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "LEDGERQ_BROKER_URL": stage.settings.broker_url.get_secret_value(),
            "LEDGERQ_DATABASE_URL": stage.settings.database_url.get_secret_value(),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_revoked_while_all_workers_are_down(stage: Stage) -> None:
    sent = [stage.publish("deadly.succeed", tier=Tier.HIGH) for _ in range(3)]
    revoke(stage, *sent)
    worker = stage.worker(Tier.HIGH)
    for each in sent:
        expect(stage, each, "revoked", outcomes=["revoked"], executions=0, is_dead=False, why=WHY)
    assert worker.stop() == 0
    assert stage.depth(Tier.HIGH.queue) == 0


def test_revoked_while_queued(stage: Stage, tmp_path: Path) -> None:
    worker = stage.worker(Tier.HIGH, concurrency=2)
    running, other = (stage.publish("deadly.wait", str(tmp_path / go), tier=Tier.HIGH) for go in ("go", "never"))
    for each in (running, other):
        until_it_runs(stage, each, 1)
    queued, blocker = (stage.publish("deadly.wait", str(tmp_path / "go"), tier=Tier.HIGH) for _ in range(2))
    revoke(stage, queued, other)
    # Asked for in one go, and heard of in one look: where the one has ended, the other is known.
    expect(stage, other, "revoked", outcomes=["revoked"], executions=1, is_dead=False, why=WHY)
    (tmp_path / "go").touch()
    expect(stage, blocker, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    expect(stage, queued, "revoked", outcomes=["revoked"], executions=0, is_dead=False, why=WHY)
    expect(stage, running, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0


def test_revoked_while_it_runs(stage: Stage, tmp_path: Path) -> None:
    worker = stage.worker(Tier.CRITICAL, concurrency=1)
    sent = stage.publish("deadly.wait", str(tmp_path / "never"), tier=Tier.CRITICAL)
    until_it_runs(stage, sent, 1)
    revoke(stage, sent)
    told = expect(stage, sent, "revoked", outcomes=["revoked"], executions=1, is_dead=False, why=WHY)
    eventually(lambda: not Path(f"/proc/{told.attempts[0]['pid']}").exists(), seconds=SECONDS)
    after = stage.publish("deadly.succeed", tier=Tier.CRITICAL)
    expect(stage, after, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0
    assert stage.depth(Tier.CRITICAL.queue) == 0
