from __future__ import annotations

import pytest
from click import Command
from click.testing import CliRunner, Result

from infra.settings import Settings
from tasks.flow_commands import queue
from tasks.task_commands import task


@pytest.fixture(autouse=True)
def environment(fresh_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())


def call(command: Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def listed() -> dict[str, str]:
    done = call(queue, "list")
    assert done.exit_code == 0, done.output
    return {line.split()[1]: " ".join(line.split()[2:]) for line in done.output.splitlines()}


def test_a_queue_is_paused_once_and_resumed_once() -> None:
    assert listed()["tasks.low"] == "open"
    assert call(queue, "pause", "low", "--reason", "the bank is closed").exit_code == 0
    assert listed()["tasks.low"].startswith("paused ")
    assert listed()["tasks.low"].endswith(": the bank is closed")
    again = call(queue, "pause", "tasks.low", "--reason", "again")
    assert again.exit_code == 1
    assert "paused already: the bank is closed" in again.output
    assert call(queue, "resume", "low", "--reason", "it is open").exit_code == 0
    assert listed()["tasks.low"].startswith("open ")
    assert "not paused" in call(queue, "resume", "low", "--reason", "x").output


def test_a_queue_of_no_tier_is_refused() -> None:
    refused = call(queue, "pause", "dead", "--reason", "x")
    assert refused.exit_code == 2
    assert "tasks.critical, tasks.high, tasks.normal, tasks.low" in refused.output


def test_a_task_is_paused_and_limited_and_both_are_listed() -> None:
    assert call(task, "pause", "billing.charge", "--reason", "closed").exit_code == 0
    limit = ("limit", "billing.charge", "--reason", "terms")
    assert call(task, *limit, "--rate", "20/m", "--concurrency", "3", "--key", "license_id").exit_code == 0
    assert listed()["billing.charge"].startswith("paused, 20/m, 3 at once for each license_id")
    assert call(task, "resume", "billing.charge", "--reason", "open").exit_code == 0
    assert call(task, *limit, "--as-declared").exit_code == 0
    assert "billing.charge" not in listed()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--as-declared"),
        (["--rate", "20"], "20/m"),
        (["--rate", "20/m", "--as-declared"], "--as-declared"),
        (["--concurrency", "0"], "concurrency"),
        (["--concurrency", "many"], "many"),
    ],
)
def test_limits_that_are_none_are_refused(arguments: list[str], complaint: str) -> None:
    refused = call(task, "limit", "billing.charge", "--reason", "x", *arguments)
    assert refused.exit_code == 2
    assert complaint in refused.output
