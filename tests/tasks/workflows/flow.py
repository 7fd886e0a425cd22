"""The platform without workers; a client of the app, a worker of its own, and what one sees of the log."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from domain.task_run import run_stream
from domain.tier import Tier
from infra import database
from infra.broker import topology
from infra.event_store import EventStore, Log, Recorded
from infra.local.chaos.siege import children_of
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tasks.app import TaskApp, configuration
from tasks.forks.command import fork
from tests.tasks.processes import Process
from tests.waiting import eventually

CHANCE = random.Random(7)


@contextmanager
def ground(servers: Settings, directory: Path, *commands: str) -> Iterator[Settings]:
    """A virtual host and a database with these processes of the platform at work; this process's settings name them."""
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="flow")
    settings = servers.model_copy(update=sandbox.settings_update())
    database.migrate(settings)
    topology.apply(settings)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        stack.callback(sandbox.drop)
        environment.setenv("LEDGERQ_BROKER_URL", settings.broker_url.get_secret_value())
        environment.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())
        for command in commands:
            stack.enter_context(Process(command, settings, log=directory / f"{command}.log"))
        yield settings


class Flow:
    """A client of the app, and what it sees of the log."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.app = TaskApp("flows", set_as_current=False)
        self.app.add_defaults(configuration)
        self.settings = settings
        self.lines = directory / "lines"
        self.begun = directory / "begun"
        self.lines.touch()
        self.directory = directory
        self.workers: list[subprocess.Popen[bytes]] = []

    def s(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.signature(f"flow.{name}", args=args, **options)

    def start_worker(self) -> subprocess.Popen[bytes]:
        with (self.directory / f"worker-{len(self.workers)}.log").open("wb") as log:
            worker = subprocess.Popen(
                (sys.executable, "-m", "tests.tasks.worker.hosted", Tier.NORMAL.value, "2"),
                env={
                    **os.environ,
                    "LAB_GATE": str(self.directory / "gate"),
                    "LAB_TASKS": "tests.tasks.workflows.lab,tasks.catalog.workflows",
                    "LAB_LINES": str(self.lines),
                    "LAB_BEGUN": str(self.begun),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)
        return worker

    def kill_at_random(self, kills: int, *, members: int) -> Counter[str]:
        """So many kills of the worker or of one of its children, spread over the beginnings of so many members."""
        killed: Counter[str] = Counter()
        for number in range(1, kills + 1):
            at = CHANCE.uniform(number - 1, number) * members / (kills + 1)
            eventually(lambda at=at: self.begun.stat().st_size >= at, seconds=300)
            children = children_of([self.workers[-1].pid])
            if children and CHANCE.random() < 0.5:
                with suppress(ProcessLookupError):
                    os.kill(CHANCE.choice(children), signal.SIGKILL)
                killed["child"] += 1
            else:
                self.workers[-1].kill()
                self.start_worker()
                killed["worker"] += 1
        return killed

    def story(self, log_stream: str) -> list[str]:
        url = self.settings.database_url.get_secret_value()
        with EventStore(url, name="test") as store:
            return [event.TOPIC for event in store.load(Log.TASKS, [log_stream]).get(log_stream, [])]

    def recorded(self, run_id: str) -> list[Recorded]:
        url = self.settings.database_url.get_secret_value()
        with EventStore(url, name="test") as store:
            return store.load_recorded(Log.TASKS, [run_stream(run_id)]).get(run_stream(run_id), [])

    def fork(self, *arguments: str) -> str:
        """What the command says; its last word is the run to wait for."""
        return CliRunner().invoke(fork, arguments).output.strip()

    def noted(self, word: str) -> int:
        """How often tasks have noted it."""
        return self.lines.read_text().split().count(word)
