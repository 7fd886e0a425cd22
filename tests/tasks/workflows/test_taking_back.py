"""A story is taken back as a whole: whatever there is of it, and whatever turns up later, with nobody there to hear."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord
from click.testing import CliRunner, Result

from domain.fan_in import fan_in_stream
from domain.story import story_stream
from domain.task_run import run_stream
from domain.tier import Tier
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tasks.app import TaskApp, configuration
from tasks.revoking import ask_for_revocation_of_story
from tasks.task_commands import task
from tests.tasks.workflows.flow import ground
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
PATIENCE = 40.0


class Stage:
    """Ingest and dispatch, a client, and workers only where a test starts them."""

    def __init__(self, settings: Settings, directory: Path, store: EventStore) -> None:
        self.app = TaskApp("taken back", set_as_current=False)
        self.app.add_defaults(configuration)
        self.store = store
        self._directory = directory
        self._lines = directory / "lines"
        self._lines.touch()
        self._broker_url = settings.broker_url.get_secret_value()

    def s(self, name: str, *args: Any, tier: Tier = Tier.NORMAL, **options: Any) -> Any:
        return self.app.signature(f"back.{name}", args=args, **options).set(queue=tier.queue)

    @contextmanager
    def worker(self, tier: Tier = Tier.NORMAL) -> Iterator[None]:
        """With a worker of the tier."""
        with (self._directory / f"worker-{uuid4()}.log").open("wb") as log:
            worker = subprocess.Popen(
                (sys.executable, "-m", "tests.tasks.worker.hosted", tier.value, "2"),
                env={
                    **os.environ,
                    "LAB_GATE": str(self._directory / "gate"),
                    "LAB_TASKS": "tests.tasks.workflows.taken_back",
                    "LAB_LINES": str(self._lines),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield
        finally:
            worker.kill()
            worker.wait()

    def executed(self, *runs: str) -> set[str]:
        """Those of the runs that a task has noted."""
        return set(self._lines.read_text().split()) & set(runs)

    def take_back(self, story: str, *options: str) -> Result:
        return CliRunner().invoke(task, ["revoke", "--story", story, "--reason", "ordered twice", *options])

    def append_the_fact(self, story: str) -> None:
        """As the command that dies right after."""
        now = datetime.now(UTC)
        ask_for_revocation_of_story(self.store, story, reason="ordered twice", actor="pat", at=now)

    def names(self, stream: str) -> list[str]:
        return [event.TOPIC for event in self.store.load(Log.TASKS, [stream]).get(stream, [])]

    def until(self, run: str, name: str) -> dict[str, Any]:
        """What the event of the run says, once it is there."""

        def found() -> dict[str, Any] | None:
            told = self.store.load(Log.TASKS, [run_stream(run)]).get(run_stream(run), [])
            return next((event.data() for event in told if name == event.TOPIC), None)

        return eventually(found, seconds=PATIENCE)  # type: ignore[return-value]

    def until_revoked(self, story: str, *runs: str) -> None:
        """Until each of the runs has ended so, because of the story."""
        [fact] = self.store.load_recorded(Log.TASKS, [story_stream(story)])[story_stream(story)]
        for run in runs:
            end = self.until(run, "task.revoked")
            assert end["error"].startswith("ordered twice (asked for by ")
            assert end["decided_by"] == str(fact.event_id)


@pytest.fixture(scope="module")
def stage(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("back")
    with ground(servers, directory, "ingest", "dispatch") as settings, ExitStack() as stack:
        store = stack.enter_context(EventStore(settings.database_url.get_secret_value(), name="test"))
        made = Stage(settings, directory, store)
        stack.callback(made.app.close)
        stack.callback(made.app.backend.close)
        yield made


def test_a_chord_that_is_recorded_nowhere_yet_ends_whole_and_none_of_it_is_executed(stage: Stage) -> None:
    sent = chord([stage.s("noted") for _ in range(4)], app=stage.app)(stage.s("noted"))
    other = stage.s("noted").apply_async()
    story, members = sent.parent.id, [each.id for each in sent.parent.results]
    said = stage.take_back(story, "--no-wait")
    assert said.exit_code == 0
    assert said.output.startswith(f"story {story}: recorded at position ")
    stage.until_revoked(story, sent.id)  # the body, before any worker is up
    assert stage.names(fan_in_stream(story)) == ["fan_in.declared", "fan_in.failed"]
    assert [stage.names(run_stream(member)) for member in members] == [[]] * 4
    with stage.worker():
        stage.until_revoked(story, *members)
        stage.until(other.id, "task.succeeded")
    ended = [["task.revoked", "task.chain_recorded"]] * 4  # so that they can be forked
    assert [stage.names(run_stream(run)) for run in [*members, sent.id]] == [*ended, ["task.revoked"]]
    assert stage.executed(other.id, sent.id, *members) == {other.id}
    again = stage.take_back(story)
    assert "asked for already, at " in again.output
    assert "5 revoked" in again.output


def test_what_runs_is_ended_and_what_it_sends_later_and_the_next_link_are_revoked_though_the_command_died(
    stage: Stage,
) -> None:
    last = str(uuid4())
    with stage.worker():
        begun = chain(stage.s("noted"), stage.s("noted", tier=Tier.LOW), app=stage.app).apply_async()
        stage.until(begun.parent.id, "task.succeeded")  # the link is sent, and nobody has taken it
        stage.append_the_fact(begun.parent.id)
        running = stage.s("stubborn", last, Tier.LOW.queue).apply_async()
        stage.until(running.id, "task.started")
        stage.append_the_fact(running.id)
        stage.until_revoked(running.id, running.id)
    with stage.worker(Tier.LOW):
        stage.until_revoked(begun.parent.id, begun.id)
        stage.until_revoked(running.id, last)
    assert stage.names(run_stream(last)) == ["task.revoked"]
    assert stage.executed(begun.id, last, running.id) == {running.id}


def test_the_command_says_what_became_of_each_run_and_refuses_what_is_a_run_of_another_story(stage: Stage) -> None:
    with stage.worker():
        sent = chord([stage.s("stubborn", str(uuid4()), Tier.LOW.queue), stage.s("noted")], app=stage.app)(
            stage.s("noted")
        )
        running, done = [each.id for each in sent.parent.results]
        stage.until(running, "task.started")
        stage.until(done, "task.succeeded")
        member = stage.take_back(done)
        assert (member.exit_code, sent.parent.id in member.output) == (1, True)
        said = stage.take_back(sent.parent.id)
    assert said.exit_code == 0
    assert f"{running}: revoked (back.stubborn)" in said.output
    assert "2 revoked; 1 had ended before" in said.output
    nobody = stage.take_back("nobody's")
    assert "nothing is recorded of such a story" in nobody.output
