"""Steps that wait, in chains that real processes carry out: what a Celery user sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from domain.aggregate import Event
from domain.task_run import run_stream
from domain.tier import Tier
from infra import database
from infra.broker import topology
from infra.broker.emitter import Emitter
from infra.cloudevents.making import new_event
from infra.event_store import EventStore, Log
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.tasks.dispatch.world import World
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
PATIENCE = 40.0


class Ids(NamedTuple):
    charged: str
    waited: str
    shipped: str


class Platform:
    """Ingest, dispatch and a worker, which a test may end and start again."""

    def __init__(self, settings: Settings, directory: Path, stack: ExitStack) -> None:
        self.settings = settings
        self.store = stack.enter_context(EventStore(settings.database_url.get_secret_value(), name="test"))
        self._directory, self._stack = directory, stack
        self.environment = {
            **os.environ,
            "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
            "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
        }
        self.start("ingest")
        self.dispatch = self.start("dispatch")
        self.worker = self.start_worker()

    def start(self, command: str) -> Process:
        return self._stack.enter_context(
            Process(command, self.settings, log=self._directory / f"{command}-{os.urandom(2).hex()}.log")
        )

    def start_worker(self) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._directory / f"worker-{os.urandom(2).hex()}.log").open("wb"))
        worker = subprocess.Popen(
            (sys.executable, "-m", "tests.tasks.waiting.hosted"), env=self.environment, stdout=log, stderr=log
        )
        self._stack.callback(worker.wait)
        self._stack.callback(worker.kill)
        return worker

    def ask(self, step: str, *arguments: Any, **options: Any) -> Ids:
        """A client asks for charge → step → ship."""
        told = [json.dumps(each) for each in (*arguments, options)]
        command = (sys.executable, "-m", "tests.tasks.waiting.client", step, *told)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return Ids(*done.stdout.split())

    def signal(self, signal: str, **data: Any) -> None:
        with Emitter(self.settings, role="test") as emitter:
            emitter.emit(new_event("signal.received", source="urn:test", data={"signal": signal, **data}))

    def story(self, run: str) -> list[Event]:
        return self.store.load(Log.TASKS, [run_stream(run)]).get(run_stream(run), [])

    def until(self, run: str, name: str) -> Any:
        """The event of a run, once it is there."""
        return eventually(lambda: next((e for e in self.story(run) if e.name == name), None), seconds=PATIENCE)


@pytest.fixture(scope="module")
def platform(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("waiting")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="waiting")
    settings = servers.model_copy(update=sandbox.settings_update())
    database.migrate(settings)
    topology.apply(settings)
    with ExitStack() as stack:
        stack.callback(sandbox.drop)
        yield Platform(settings, directory, stack)


def test_a_chain_waits_through_killed_processes_and_an_emptied_broker(platform: Platform) -> None:
    ids = platform.ask("wait_for_event", "signal.received", match={"signal": "agreed", "key": "o-1"}, timeout=86400)
    platform.until(ids.waited, "task.wait_began")
    platform.worker.kill()
    platform.worker.wait()
    platform.dispatch.kill()
    world = World(platform.settings, platform.store)
    assert world.depth(Tier.NORMAL.queue) == 0  # no message of it is anywhere
    world.close()
    platform.signal("agreed", key="o-1", details={"by": "ann"})
    platform.dispatch = platform.start("dispatch")
    platform.worker = platform.start_worker()
    came = json.loads(platform.until(ids.shipped, "task.succeeded").result)
    assert (came["name"], came["data"]["details"], came["given"]) == (
        "signal.received",
        {"by": "ann"},
        {"order": "o-1"},
    )
    assert [event.name for event in platform.story(ids.waited)] == [
        "task.started",
        "task.wait_began",
        "task.started",
        "task.succeeded",
        "task.wait_satisfied",
    ]
    satisfied = platform.until(ids.waited, "task.wait_satisfied")
    (recorded,) = [
        each
        for each in platform.store.load_recorded(Log.TASKS, [run_stream(ids.waited)])[run_stream(ids.waited)]
        if each.event.name == "task.wait_satisfied"
    ]
    assert recorded.metadata["causation_id"] == satisfied.came.id == came["id"]
    assert recorded.metadata["correlation_id"] == ids.charged


def test_an_event_that_came_before_the_step_is_found(platform: Platform) -> None:
    platform.signal("agreed", key="o-2")
    ids = platform.ask("wait_for_event", "signal.received", match={"key": "o-2"}, since=60, timeout=60)
    assert json.loads(platform.until(ids.shipped, "task.succeeded").result)["data"]["key"] == "o-2"


def test_a_wait_that_times_out_fails_its_step_or_returns_none(platform: Platform) -> None:
    fails = platform.ask("wait_for_event", "signal.received", match={"key": "never"}, timeout=0.5)
    goes_on = platform.ask("wait_for_event", "signal.received", match={"key": "never"}, timeout=0.5, on_timeout="none")
    failed = platform.until(fails.waited, "task.failed")
    assert (failed.error_type, failed.attempt) == ("WaitTimedOut", 2)
    assert platform.until(goes_on.shipped, "task.succeeded").result is None


def test_a_step_that_waits_for_some_time_passes_on_what_came_before_it(platform: Platform) -> None:
    ids = platform.ask("wait_for", 0.2)
    assert json.loads(platform.until(ids.shipped, "task.succeeded").result) == {"order": "o-1"}


def fork(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "infra.cli", "run", "fork", *arguments)
    return subprocess.run(command, env=platform.environment, capture_output=True, text=True, check=False)


def test_a_failed_chain_goes_on_from_its_step_with_what_came_before(platform: Platform, tmp_path: Path) -> None:
    road = tmp_path / "road"
    ids = platform.ask("deliver", road=str(road))
    platform.until(ids.waited, "task.failed")
    assert "no step of the chain" in fork(platform, ids.charged, "--from", "order.bill").stderr
    assert "step 2 (order.deliver) has no result" in fork(platform, ids.waited, "--from", "3").stderr
    assert "nothing is recorded of a run" in fork(platform, "r-0", "--from", "3").stderr
    road.touch()
    planned = fork(platform, ids.waited, "--from", "order.deliver", "--dry-run")
    assert planned.stdout.startswith("would ask for step 2 (order.deliver) as run "), planned.stderr
    asked = fork(platform, ids.waited, "--from", "order.deliver")
    again = fork(platform, ids.charged, "--from", "2")
    new = asked.stdout.split()[-1]
    assert again.stdout == f"asked for before: step 2 (order.deliver) as run {new}\n"
    ended = platform.until(new, "task.succeeded")
    assert json.loads(ended.result) == {"order": "o-1"}
    (recorded,) = platform.store.load_recorded(Log.TASKS, [run_stream(new)])[run_stream(new)][:1]
    chained = platform.until(new, "task.chain_recorded")
    shipped = platform.until(chained.links[0]["options"]["task_id"], "task.succeeded")
    assert json.loads(shipped.result) == {"order": "o-1"}
    assert shipped.originator_id != run_stream(ids.shipped)
    assert recorded.metadata["correlation_id"] == new
    assert (tmp_path / "road.tries").read_text() == "xx"
    assert [event.name for event in platform.story(ids.charged)].count("task.started") == 1
    late = fork(platform, new, "--from", "2", "--as", "once more")
    assert "as run" in late.stdout, late.stderr


def test_a_chain_that_is_under_way_is_not_forked(platform: Platform) -> None:
    ids = platform.ask("wait_for", 3600)
    platform.until(ids.waited, "task.wait_began")
    assert "it is under way" in fork(platform, ids.charged, "--from", "1").stderr


def test_what_cannot_be_waited_for_fails_with_a_reason(platform: Platform) -> None:
    ids = platform.ask("wait_for_event", "license.expected")
    failed = platform.until(ids.waited, "task.failed")
    assert "no event is called 'license.expected'" in failed.error
