"""The stage on which runs die: real ingest, projector and workers, and what an analyst sees of it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString, NamedTuple
from uuid import uuid4

import pika
import psycopg
from psycopg.rows import dict_row

from domain.tier import Tier
from infra.broker.management import ManagementApi
from infra.settings import Settings
from tests.tasks.processes import Process
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("LAB_SECONDS", "60"))
"""Long enough on a machine that others use too; nothing waits for it that goes well."""
STOCK = bool(os.environ.get("LAB_STOCK"))
"""Celery's own worker is on the stage: to see what our handling is for, by hand (docs/failures.md)."""

RUN: LiteralString = "select * from analytics.fct_task_runs where run_id = %s"
ATTEMPTS: LiteralString = "select * from analytics.fct_task_attempts where run_id = %s order by attempt"
LETTERS: LiteralString = "select * from analytics.fct_dead_letters where run_id = %s"


class Sent(NamedTuple):
    """A message that was published: its run, the trace it belongs to, and where its task leaves marks."""

    run_id: str
    trace_id: str
    marks: Path

    @property
    def executions(self) -> int:
        """How often the side effect has happened."""
        return self.marks.stat().st_size if self.marks.exists() else 0


class Told(NamedTuple):
    """What the analytics views say of a run."""

    run: dict[str, Any]
    attempts: list[dict[str, Any]]
    letters: list[dict[str, Any]]

    @property
    def outcomes(self) -> list[str]:
        return [str(attempt["outcome"]) for attempt in self.attempts]

    @property
    def spent_by(self) -> list[str | None]:
        return [attempt["spent_by"] for attempt in self.attempts]


class Worker:
    """A worker with the deadly tasks, in a process of its own."""

    def __init__(self, stage: Stage, tier: Tier, concurrency: int) -> None:
        self._log = stage.directory / f"worker-{tier.value}-{uuid4().hex[:6]}.log"
        self.tier = tier
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "tests.tasks.worker.hosted", tier.value, str(concurrency)),
                cwd=ROOT,
                env={
                    **os.environ,
                    "LEDGERQ_BROKER_URL": stage.settings.broker_url.get_secret_value(),
                    "LEDGERQ_DATABASE_URL": stage.settings.database_url.get_secret_value(),
                    "LAB_GATE": str(self._log.with_suffix(".gate")),
                    "LAB_TASKS": "tests.matrix.deadly_tasks",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_ready(self, times: int = 1) -> None:
        """Until it has begun to consume ``times`` times."""

        def ready() -> bool:
            assert self.lives, self.log
            return self.log.count("worker ready") >= (1 if STOCK else times)  # Celery says it once

        eventually(ready, seconds=SECONDS)

    def kill(self) -> None:
        """The main process, without warning; the kernel tells its children."""
        if self.lives:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        if self.lives:
            self.process.terminate()
        return self.process.wait(60)


class Stage:
    """A migrated database, the topology, and the processes between them."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self.processes: dict[str, Process] = {}
        self.workers: list[Worker] = []

    def start(self, *names: str) -> None:
        """Start ``ledgerq NAME`` for each."""
        for name in names:
            log = self.directory / f"{name}-{uuid4().hex[:6]}.log"
            self.processes[name] = Process(name, self.settings, log=log)

    def worker(self, tier: Tier, concurrency: int = 2) -> Worker:
        """Start a worker and wait until it consumes."""
        worker = Worker(self, tier, concurrency)
        self.workers.append(worker)
        worker.wait_ready()
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        for process in self.processes.values():
            process.kill()

    def publish(
        self,
        task: str,
        *arguments: str,
        tier: Tier = Tier.NORMAL,
        body: bytes | None = None,
        headers: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        **properties: Any,
    ) -> Sent:
        """Publish a task message the way any client can, confirmed; the first argument is where to leave marks."""
        run_id, trace_id = str(uuid4()), secrets.token_hex(16)
        marks = self.directory / f"{run_id}.marks"
        sound = {"id": run_id, "task": task, "root_id": run_id, "retries": 0, "timelimit": [None, None]}
        traced = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        with pika.BlockingConnection(pika.URLParameters(self.settings.broker_url.get_secret_value())) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(
                "tasks",
                tier.queue,
                json.dumps([[str(marks), *arguments], {}, {}]).encode() if body is None else body,
                pika.BasicProperties(
                    headers={**sound, **traced, **(headers or {})},
                    content_type=content_type,
                    content_encoding="utf-8",
                    delivery_mode=2,
                    **{"priority": tier.default_priority, **properties},
                ),
                mandatory=True,
            )
        return Sent(run_id, trace_id, marks)

    def look(self, sent: Sent) -> Told | None:
        """What the views say of a run now; None where they do not know it."""
        database_url = self.settings.database_url.get_secret_value()
        with psycopg.connect(database_url, row_factory=dict_row, autocommit=True) as connection:
            run = connection.execute(RUN, [sent.run_id]).fetchone()
            attempts = connection.execute(ATTEMPTS, [sent.run_id]).fetchall()
            letters = connection.execute(LETTERS, [sent.run_id]).fetchall()
        return Told(run, attempts, letters) if run else None

    def until(self, sent: Sent, state: str, *, dead: bool = False) -> Told:
        """What the views say once the run is in ``state`` and, if it is to be, known as a dead letter."""

        def there() -> Told:
            told = self.look(sent)
            assert told is not None, f"nothing is told of {sent.run_id}"
            assert told.run["state"] == state, told
            assert told.letters or not dead, told
            # The two views are projected one after the other.
            assert len(told.attempts) == told.run["attempt_count"], told
            assert [a for a in told.attempts if a["outcome"] in {"running", "held"} and told.run["is_ended"]] == []
            return told

        try:
            return eventually(there, seconds=SECONDS, every=0.1)
        except AssertionError as error:
            error.add_note(self.seen(sent))
            raise

    def seen(self, sent: Sent) -> str:
        """Where a message is and what it did, whatever the views say: for the text of a failure."""
        ready = {tier.queue: depth for tier in Tier if (depth := self.depth(tier.queue))}
        lives = [f"{worker.tier.value} {'lives' if worker.lives else 'is dead'}" for worker in self.workers]
        dead = "is a dead letter" if self.dead_letter_of(sent) else "is no dead letter"
        return (
            f"seen: executed {sent.executions} times, {dead}, ready {ready}, unacknowledged {self.unacknowledged()}, "
            f"workers: {', '.join(lives)}"
        )

    def unacknowledged(self) -> int:
        """Task messages in workers' hands, as the management API knew a few seconds ago."""
        api = ManagementApi(self.settings)
        return sum(api.get(api.of_vhost("queues", tier.queue)).get("messages_unacknowledged", 0) for tier in Tier)

    def dead_letter_of(self, sent: Sent) -> bool:
        """Whether the queue ``dead`` has the run's message."""
        with pika.BlockingConnection(pika.URLParameters(self.settings.broker_url.get_secret_value())) as connection:
            channel = connection.channel()  # what is not acknowledged goes back where it was when this closes
            while True:
                method, properties, _ = channel.basic_get("dead")
                if method is None:
                    return False
                if (properties.headers or {}).get("id") == sent.run_id:
                    return True

    def purge(self, tier: Tier) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.settings.broker_url.get_secret_value())) as connection:
            connection.channel().queue_purge(tier.queue)

    def depth(self, queue: str) -> int:
        """Messages that are ready in a queue."""
        with pika.BlockingConnection(pika.URLParameters(self.settings.broker_url.get_secret_value())) as connection:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
