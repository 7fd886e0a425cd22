"""A platform to lose messages on: ingest and dispatch in processes of their own, workers where a test wants them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pika

from domain.run import END_NAMES, RunState, TaskRun
from domain.task_run import TaskEvent, run_stream
from domain.tier import Tier
from infra.broker.emitter import Emitter
from infra.broker.management import ManagementApi
from infra.broker.topology import TOPOLOGY
from infra.cloudevents import CloudEvent
from infra.event_store import EventStore, Log
from infra.local.platform import Platform
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]


class Ground:
    def __init__(self, built: Platform, directory: Path) -> None:
        self.built = built
        self.directory = directory
        self.settings = built.settings
        self.store = EventStore(self.settings.database_url.get_secret_value(), name="test")
        self.emitter = Emitter(self.settings, role="test")
        self._workers: list[tuple[Tier, subprocess.Popen[bytes]]] = []
        self._connection = pika.BlockingConnection(
            pika.URLParameters(f"{self.settings.broker_url.get_secret_value()}?heartbeat=0")
        )
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()

    def close(self) -> None:
        self.kill_workers()
        self._connection.close()
        self.emitter.close()
        self.store.close()

    def request(
        self, count: int, *, tier: Tier, task: str = "reconcile.quick", priority: int | None = None, **kwargs: Any
    ) -> set[str]:
        """Ask for runs; returns once dispatch has recorded all of them as published."""
        runs = {str(uuid4()) for _ in range(count)}
        self.emitter.emit_all([_request(run, tier, task, kwargs, priority) for run in runs])
        eventually(lambda: all(self.has(run, "task.published") for run in runs), seconds=60)
        return runs

    def publish_directly(self, task: str, *, tier: Tier, **headers: Any) -> str:
        """As a Celery client that knows nothing of us."""
        run = str(uuid4())
        properties = pika.BasicProperties(
            headers={"lang": "py", "task": task, "id": run, "root_id": run, "retries": 0, **headers},
            content_type="application/json",
            content_encoding="utf-8",
            priority=1,
            delivery_mode=2,
        )
        self.channel.basic_publish("tasks", tier.queue, b"[[], {}, {}]", properties, mandatory=True)
        return run

    def let_the_statistics_catch_up(self) -> None:
        """Wait until the management API lists the consumers of the workers that live, and no others."""
        api = ManagementApi(self.settings)
        queues = {tier.queue for tier in Tier}

        def listed() -> int:
            return sum(each["queue"]["name"] in queues for each in api.get(api.of_vhost("consumers")) or [])

        eventually(lambda: listed() == sum(map(self._living, Tier)), seconds=30, every=0.5)

    def purge(self, *queues: str) -> int:
        """Throw away what is ready in these queues; how much that was."""
        return sum(int(self.channel.queue_purge(queue).method.message_count) for queue in queues)

    def empty(self) -> None:
        """Throw away everything in every queue."""
        self.purge(*(queue.name for queue in TOPOLOGY.queues))

    def depth(self, queue: str) -> int:
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    @contextmanager
    def taken(self, queue: str) -> Iterator[None]:
        """Have the next message in hand, as a worker that then dies: it comes back marked as redelivered."""
        channel = self._connection.channel()
        method, _, _ = channel.basic_get(queue)
        assert method is not None
        yield
        channel.close()

    def worker(self, tier: Tier, concurrency: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it consumes."""
        # The broker may not have noticed yet that a killed one is gone: counted in, it would hide the new one.
        eventually(lambda: self._consumers(tier) == self._living(tier), seconds=60)
        with (self.directory / f"worker-{tier.value}-{uuid4().hex[:6]}.log").open("wb") as log:
            worker = subprocess.Popen(
                (sys.executable, "-m", "tests.tasks.reconcile.hosted", tier.value, str(concurrency)),
                cwd=ROOT,
                env=self.built.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._workers.append((tier, worker))
        eventually(lambda: self._consumers(tier) == self._living(tier), seconds=60)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """End it at once; its children go with it."""
        if worker.poll() is None:
            os.kill(worker.pid, signal.SIGKILL)
        worker.wait()

    def kill_workers(self) -> None:
        for _, worker in self._workers:
            self.kill(worker)
        self._workers.clear()

    def run(self, run: str) -> TaskRun | None:
        told = [e for e in self._stream(run) if isinstance(e, TaskEvent)]
        return TaskRun.fold(told) if told else None

    def has(self, run: str, name: str) -> bool:
        return any(event.name == name for event in self._stream(run))

    def end_all(self, runs: Iterable[str], *, seconds: float = 60) -> set[RunState]:
        """Wait until every run has ended; the states they are in."""
        waited = sorted(runs)

        def states() -> set[RunState]:
            streams = self.store.load(Log.TASKS, [run_stream(run) for run in waited])
            told = [TaskRun.fold([e for e in streams[run_stream(run)] if isinstance(e, TaskEvent)]) for run in waited]
            assert all(run.is_ended for run in told), [run.run_id for run in told if not run.is_ended]
            return {run.state for run in told}

        return eventually(states, seconds=seconds)

    def ends(self, run: str) -> list[str]:
        return [event.name for event in self._stream(run) if event.name in END_NAMES]

    def reconcile(self, *options: str, status: int) -> dict[str, Any]:
        """What the command says; ``status`` is its exit status."""
        done = subprocess.run(
            (sys.executable, "-m", "infra.cli", "reconcile", "--json", *options),
            env=self.built.environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _stream(self, run: str) -> list[Any]:
        return list(self.store.load(Log.TASKS, [run_stream(run)]).get(run_stream(run), []))

    def _living(self, tier: Tier) -> int:
        return sum(of is tier and worker.poll() is None for of, worker in self._workers)

    def _consumers(self, tier: Tier) -> int:
        return int(self.channel.queue_declare(tier.queue, passive=True).method.consumer_count)


def named(found: dict[str, Any]) -> set[str]:
    return {run["run_id"] for run in found["nowhere"]}


def _request(run: str, tier: Tier, task: str, kwargs: dict[str, Any], priority: int | None) -> CloudEvent:
    data: dict[str, Any] = {"run_id": run, "task": task, "tier": tier.value, "kwargs": kwargs}
    if priority is not None:
        data["priority"] = priority
    return CloudEvent(
        specversion="1.0",
        id=run,
        source="/test",
        type="task.requested",
        subject=task,
        time=datetime.now(UTC),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )
