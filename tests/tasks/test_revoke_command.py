from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from domain.cause import Cause
from domain.task_run import task_event
from infra.event_store import EventStore, Log, caused
from infra.settings import Settings
from tasks.task_commands import task

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def environment(fresh_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())


def call(*arguments: str) -> Result:
    return CliRunner().invoke(task, arguments)


def told(store: EventStore, name: str, run: str, **data: object) -> str:
    event = task_event(name, run, at=NOW, data={"task": "report", **data})
    store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test")))
    return run


def test_a_run_is_taken_back_once_and_show_tells_it(store: EventStore) -> None:
    run = told(store, "task.requested", str(uuid4()))
    first = call("revoke", run, "--reason", "ordered twice")
    assert (first.exit_code, first.output) == (0, f"{run}: asked for\n")
    again = call("revoke", run, "--reason", "once more")
    assert (again.exit_code, again.output) == (0, f"{run}: somebody has asked for that already\n")
    shown = call("show", run).output
    assert "task.revocation_requested" in shown
    assert "reason=ordered twice" in shown
    assert "once more" not in shown


def test_a_run_that_has_ended_stays_as_it_is_and_the_others_are_taken_back(store: EventStore) -> None:
    ended = told(store, "task.succeeded", str(uuid4()), attempt=1)
    open_ = told(store, "task.started", str(uuid4()), attempt=1)
    done = call("revoke", ended, open_, "--reason", "ordered twice")
    assert done.exit_code == 1
    assert "the run has ended (succeeded)" in done.output
    assert f"{open_}: asked for" in done.output
    assert "task.revocation_requested" not in call("show", ended).output


def test_a_run_nobody_has_heard_of_needs_its_task_s_name(store: EventStore) -> None:
    run = str(uuid4())
    refused = call("revoke", run, "--reason", "ordered twice")
    assert refused.exit_code == 1
    assert "nothing is recorded of such a run" in refused.output
    assert call("revoke", run, "--reason", "ordered twice", "--task", "report").exit_code == 0
    assert set(store.revocations(after=0)) == {f"task_run-{run}"}


def test_a_reason_is_asked_for() -> None:
    refused = call("revoke", str(uuid4()))
    assert refused.exit_code == 2
    assert "--reason" in refused.output
