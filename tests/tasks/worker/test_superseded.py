"""A worker that is paused until its message has gone to another one, and then goes on: its reports change nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from domain.task_run import run_stream
from domain.tier import Tier
from infra import database
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tests.projections.world import World
from tests.tasks.processes import Process
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.HIGH


class Site:
    """Two workers, ingest and the log; and one run, which each of its executions ends when it is told to."""

    def __init__(self, settings: Settings, store: EventStore, directory: Path) -> None:
        self.settings, self._store = settings, store
        self.lab = Lab(settings, directory, listens=False)
        self.lab.environment["LEDGERQ_DATABASE_URL"] = settings.database_url.get_secret_value()
        self.marks, self._go = directory / "marks", directory / "go"
        self.first = self.lab.worker(TIER)
        self.run = self.lab.publish("lab.wait_my_turn", str(self.marks), str(self._go), tier=TIER)
        self.until("task.started 1")

    def close(self) -> None:
        os.killpg(self.first.pid, signal.SIGCONT)
        self.lab.close()

    def end_execution(self, number: int, how: str = "return") -> None:
        (self._go.parent / f"{self._go.name}.{number}").write_text(how)

    def mark_of_the_end(self, number: int) -> Path:
        return self._go.parent / f"{self._go.name}.{number}.seen"

    def pause_until_redelivered(self, *, whole_group: bool = True) -> WorkerProcess:
        """Stop the first worker, have its connections closed, and let a second one begin attempt 2."""
        if whole_group:
            os.killpg(self.first.pid, signal.SIGSTOP)
        else:
            os.kill(self.first.pid, signal.SIGSTOP)
        eventually(self._is_cut_off, seconds=30)
        second = self.lab.worker(TIER)
        self.until("task.started 2")
        return second

    def _is_cut_off(self) -> bool:
        with suppress(HTTPError):  # a connection that has gone is listed for a moment
            self.lab.close_connections_of(self.first)
        return self.lab.depth(TIER.queue) == 1

    def resume(self) -> None:
        os.killpg(self.first.pid, signal.SIGCONT)

    def story(self) -> list[str]:
        stream = run_stream(self.run)
        events = self._store.load(Log.TASKS, [stream]).get(stream, [])
        return [f"{event.TOPIC} {event.data()['attempt']}" for event in events]

    def until(self, told: str) -> list[str]:
        def story() -> list[str]:
            so_far = self.story()
            assert told in so_far, so_far
            return so_far

        return eventually(story, seconds=30)

    def attempts(self) -> list[tuple[Any, ...]]:
        """The run's attempts as analysts see them."""
        query = """
            select attempt, outcome, spent_by, ignored_outcome from analytics.fct_task_attempts
            where run_id = %(run)s order by attempt
        """
        engine = database.engine(self.settings, name="test")
        with engine.connect() as connection:
            world = World(self._store, connection)
            world.catch_up("task_attempts")
            rows = world.rows(query, run=self.run)
        engine.dispose()
        return [tuple(row.values()) for row in rows]

    def let_pass_what_may_wait_in_the_ladder(self) -> None:
        """Until a message has come down a longer way than that of any next attempt."""
        later = self.lab.publish("lab.snooze", str(self.marks.with_name("later")), 2, tier=TIER)

        def has_ended() -> bool:
            return any(event.TOPIC == "task.succeeded" for event in self._stream(later))

        eventually(has_ended, seconds=30)

    def _stream(self, run: str) -> list[Any]:
        return self._store.load(Log.TASKS, [run_stream(run)]).get(run_stream(run), [])


@pytest.fixture
def site(fresh_platform: Settings, store: EventStore, tmp_path: Path) -> Iterator[Site]:
    with Process("ingest", fresh_platform, log=tmp_path / "ingest.log"):
        made = Site(fresh_platform, store, tmp_path)
        try:
            yield made
        finally:
            made.close()


def test_a_success_told_while_the_next_attempt_runs_is_stale(site: Site) -> None:
    site.pause_until_redelivered()
    site.end_execution(1)
    site.resume()
    assert site.until("task.outcome_ignored 1") == [
        "task.started 1",
        "task.retry_scheduled 1",
        "task.outcome_ignored 1",
        "task.started 2",
    ]
    site.end_execution(2)
    assert site.until("task.succeeded 2")[-1] == "task.succeeded 2"
    assert site.attempts() == [
        (1, "retry_scheduled", "redelivered", "task.succeeded"),
        (2, "succeeded", None, None),
    ]
    assert site.marks.read_text() == "xx"


def test_a_success_told_after_the_next_attempt_has_ended_the_run_is_stale(site: Site) -> None:
    site.pause_until_redelivered()
    site.end_execution(2)
    site.until("task.succeeded 2")
    site.end_execution(1)
    site.resume()
    site.until("task.outcome_ignored 1")
    assert [row[1] for row in site.attempts()] == ["retry_scheduled", "succeeded"]
    assert site.marks.read_text() == "xx"


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_superseded_attempt_that_fails_brings_about_no_attempt(site: Site, *, whole_group: bool) -> None:
    """Where only the main process is paused, its child has reported by the time it goes on."""
    site.pause_until_redelivered(whole_group=whole_group)
    site.end_execution(1, "fail")
    if not whole_group:
        eventually(site.mark_of_the_end(1).exists)
    site.resume()
    site.until("task.outcome_ignored 1")
    site.end_execution(2)
    site.until("task.succeeded 2")
    site.end_execution(3)
    site.let_pass_what_may_wait_in_the_ladder()
    assert site.story() == [
        "task.started 1",
        "task.retry_scheduled 1",
        "task.outcome_ignored 1",
        "task.started 2",
        "task.succeeded 2",
    ]
    assert site.marks.read_text() == "xx"
    assert site.attempts()[0] == (1, "retry_scheduled", "redelivered", "task.retry_scheduled")
