from __future__ import annotations

import getpass
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from domain.cause import Cause
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.story import story_stream
from domain.task_run import task_event
from infra.event_store import EventStore, Log, caused
from infra.settings import Settings
from tasks import revoke_story
from tasks.task_commands import task

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def environment(fresh_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())


def call(*arguments: str) -> Result:
    return CliRunner().invoke(task, arguments)


def told(store: EventStore, name: str, run: str, *, story: str = "", **data: object) -> str:
    event = task_event(name, run, at=NOW, data={"task": "report", **data})
    store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test", correlation_id=story)))
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


def test_a_story_is_taken_back_with_nobody_there_and_it_is_said_what_is_not_met_yet(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoke_story, "WAIT_SECONDS", 0.3)
    story, member = str(uuid4()), str(uuid4())
    ended = told(store, "task.succeeded", str(uuid4()), story=story, attempt=1)
    open_ = told(store, "task.started", str(uuid4()), story=story, attempt=1)
    body = {"task": "total", "options": {"task_id": str(uuid4())}}
    members = ((ended,), (member,))
    place = {"originator_id": fan_in_stream(story), "originator_version": 1, "timestamp": NOW}
    declared = FanInDeclared(**place, members=members, body=body)
    store.append(Log.TASKS, caused([declared], Cause(id=uuid4(), at=NOW, actor="test", correlation_id=story)))
    done = call("revoke", "--story", story, "--reason", "ordered twice")
    assert done.exit_code == 0
    assert f"story {story}: recorded at position 4; " in done.output
    assert "1 had ended before; 2 not met yet" in done.output
    assert f"{open_} (report)" in done.output
    assert f"{member} (a member that is recorded nowhere yet)" in done.output
    [fact] = store.load_recorded(Log.TASKS, [story_stream(story)])[story_stream(story)]
    assert (fact.event.data()["reason"], fact.metadata["actor"]) == ("ordered twice", getpass.getuser())
    again = call("revoke", "--story", story, "--reason", "once more", "--no-wait")
    assert (again.exit_code, "asked for already, at " in again.output) == (0, True)
    assert len(store.load(Log.TASKS, [story_stream(story)])[story_stream(story)]) == 1


def test_a_run_of_another_story_and_a_story_that_nobody_can_be_called_are_refused(store: EventStore) -> None:
    story = str(uuid4())
    run = told(store, "task.started", str(uuid4()), story=story, attempt=1)
    refused = call("revoke", "--story", run, "--reason", "ordered twice")
    assert (refused.exit_code, f"its story is {story}" in refused.output) == (1, True)
    assert call("revoke", "--story", "x" * 3000, "--reason", "ordered twice").exit_code == 1
