"""``ledgerq doctor`` as an operator calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from domain.tier import Tier
from infra.broker.management import ManagementApi
from infra.settings import Settings
from tasks.app import app, task
from tasks.doctor_command import expected
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def doctor(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert settings.management_url is not None
    return subprocess.run(
        (sys.executable, "-m", "infra.cli", "doctor", *arguments),
        env={
            **os.environ,
            "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
            "LEDGERQ_MANAGEMENT_URL": settings.management_url.get_secret_value(),
            "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def running(fresh_platform: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The whole platform, once somebody consumes every tier and has published."""
    with ExitStack() as stack:
        for name in ("ingest", "dispatch", "projector", "worker"):
            stack.enter_context(Process(name, fresh_platform, log=tmp_path / f"{name}.log"))
        api = ManagementApi(fresh_platform)
        eventually(lambda: len(api.get(api.of_vhost("consumers"))) >= len(Tier) + 2, seconds=60)
        yield fresh_platform


def test_a_healthy_platform_gives_no_finding(running: Settings) -> None:
    def healthy() -> bool:
        """The API needs seconds to learn who has which children."""
        done = doctor(running)
        assert (done.stdout, done.returncode) == ("Nothing is wrong.\n", 0), done
        return True

    eventually(healthy, seconds=60)


def test_a_misconfiguration_is_one_line_and_a_status_of_1(fresh_platform: Settings) -> None:
    api = ManagementApi(fresh_platform)
    path = api.of_vhost("policies", "short-lived")
    definition = {"message-ttl": 1000}
    api.call("PUT", path, {"pattern": "^tasks[.]high$", "apply-to": "queues", "definition": definition})
    remedy = "Have the policy leave it out, or know that messages end there."

    def found() -> bool:
        """The API learns of the policy, and of queues that were emptied, seconds later."""
        done = doctor(fresh_platform)
        line = f"queue tasks.high: policy short-lived sets message-ttl 1000. {remedy}"
        assert (done.stdout.splitlines(), done.returncode) == ([line], 1), done
        return True

    try:
        eventually(found, seconds=60)
        done = doctor(fresh_platform, "--json")
    finally:
        api.call("DELETE", path)
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["check"], finding["where"]) == ("policy_on_queue", "queue tasks.high")


def test_the_time_limits_of_all_tasks_are_known() -> None:
    @task("doctor.long", time_limit=9000)
    def long() -> None:
        pass

    try:
        assert expected().limits["doctor.long"] == timedelta(seconds=9000)
        assert expected().prefetch_per_child == 1
    finally:
        app.tasks.pop(long.name, None)
