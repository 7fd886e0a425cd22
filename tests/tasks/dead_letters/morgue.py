"""What a test about dead letters does: have runs die, look, decide."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from click.testing import CliRunner, Result
from psycopg.rows import dict_row

from domain.aggregate import Event
from domain.cause import Cause
from domain.task_run import TaskRequested, run_stream, task_event
from infra.event_store import EventStore, Log, Recorded, caused
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.rows import driver
from projections.runner import Runner
from tasks.dead_letters.commands import dlq
from tasks.ingest.delivery import Delivery
from tasks.ingest.letters import Letters

NOW = datetime.now(UTC)
WHY = ("--reason", "the gateway is back")


class Morgue:
    """Runs that died, in a store of their own."""

    def __init__(self, settings: Settings, store: EventStore, engine: sa.Engine) -> None:
        self.settings = settings
        self.store = store
        self.engine = engine

    def bury(
        self,
        task: str = "bill.charge",
        *args: Any,
        error: str = "ValueError",
        died_at: datetime = NOW,
        run_id: str | None = None,
        requested: bool = False,
        headers: dict[str, Any] | None = None,
        queue: str = "tasks.high",
        body: bytes | None = None,
        **kwargs: Any,
    ) -> str:
        """Have a run of ``task`` fail for good, the way ingest records it of a real message; its id.

        Args:
            error: class of the error, or class and text as Python writes them.
        """
        run_id = run_id or str(uuid4())
        if requested:
            self.tell(run_id, "requested", task, args=args, kwargs=kwargs, tier="high", priority=4)
        kind, _, said = error.partition(": ")
        end = {"attempt": 1, "queue": queue, "worker": "w1", "error_type": kind, "error": said or f"{kind}: no"}
        self.tell(run_id, "started", task, attempt=1, queue=queue, worker="w1", code_version="v7")
        self.tell(run_id, "failed", task, **end)
        death = {"reason": "rejected", "queue": queue, "exchange": "tasks", "time": died_at, "count": 1}
        told = {
            "id": run_id,
            "task": task,
            "root_id": run_id,
            "retries": 2,
            "ledgerq-attempt": 3,
            "ledgerq-correlation-id": f"story-{run_id}",
            "x-death": [death],
            "x-first-death-queue": queue,
            **(headers or {}),
        }
        content = json.dumps([args, kwargs, {}]).encode() if body is None else body
        letter = Delivery(1, "application/json", told, content, None, 4, False, died_at, "utf-8")
        Letters(self.store).take([letter])
        return run_id

    def tell(self, run_id: str, name: str, task: str, **data: Any) -> None:
        """Record an event of a run."""
        event = task_event(f"task.{name}", run_id, at=NOW - timedelta(seconds=1), data={"task": task, **data})
        self.store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test")))

    def project(self, *names: str) -> None:
        """Let read models look at everything there is."""
        with self.engine.connect() as connection:
            for name in names or PROJECTIONS:
                runner = Runner(PROJECTIONS[name], self.store, batch_events=1000)
                runner.recall(connection)
                while runner.step(connection):
                    pass

    def call(self, *arguments: str, answer: str | None = None) -> Result:
        """``ledgerq dlq …`` once the read models are up to date."""
        self.project()
        return CliRunner().invoke(dlq, arguments, input=answer)

    def listed(self, *arguments: str) -> list[str]:
        """The runs that ``ledgerq dlq list`` finds."""
        done = self.call("list", "--json", *arguments)
        assert done.exit_code == 0, done.output
        return [row["run_id"] for row in json.loads(done.stdout)]

    def replay(self, *arguments: str) -> dict[str, str]:
        """``ledgerq dlq replay … --reason …``: the new runs by those that had died."""
        done = self.call("replay", "--json", *WHY, *arguments)
        assert done.exit_code == 0, done.output
        replayed: dict[str, str] = json.loads(done.stdout)["replayed"]
        return replayed

    def rows(self, question: str) -> list[dict[str, Any]]:
        """What SQL finds in the read models."""
        self.project()
        with self.engine.connect() as connection, driver(connection).cursor(row_factory=dict_row) as cursor:
            return cursor.execute(question.encode()).fetchall()

    def events(self, run_id: str) -> list[Event]:
        """A run's events."""
        return self.store.load(Log.TASKS, [run_stream(run_id)]).get(run_stream(run_id), [])

    def request(self, run_id: str) -> TaskRequested:
        """The request of a run."""
        event = self.requested(run_id).event
        assert isinstance(event, TaskRequested)
        return event

    def requested(self, run_id: str) -> Recorded:
        """The same in its envelope."""
        story = self.store.load_recorded(Log.TASKS, [run_stream(run_id)])[run_stream(run_id)]
        return next(each for each in story if isinstance(each.event, TaskRequested))

    def requests(self) -> int:
        """How many runs were ever asked for."""
        return len(self.store.read(Log.TASKS, after=0, limit=100_000, names=("task.requested",)).events)
