"""A fan-in in a real store: what its client and its members tell, and dispatch's follower that counts them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from domain.aggregate import Event
from domain.cause import Cause
from domain.fan_in import DECLARED, FanInDeclared, fan_in_stream
from domain.task_run import TaskDeadLettered, TaskFailed, TaskSucceeded, run_stream, task_event
from infra.event_store import EventStore, Log, caused
from infra.event_store.payloads import Payload, keep
from tasks.dispatch.fan_ins import FanInFollower


class FanIn:
    """A fan-in, and dispatch's follower of fan-ins."""

    def __init__(self, store: EventStore, *, members: int) -> None:
        self.store = store
        self.runs = [str(uuid4()) for _ in range(members)]
        self.body = str(uuid4())
        self.id = str(uuid4())

    def declare(self, body: dict[str, Any] | None = None) -> None:
        """Its client declares it; None: with a body of one task."""
        declared = FanInDeclared(
            originator_id=fan_in_stream(self.id),
            originator_version=DECLARED,
            timestamp=datetime.now(UTC),
            members=tuple((run,) for run in self.runs),
            body=body or {"task": "total", "args": [], "kwargs": {}, "options": {"task_id": self.body}},
        )
        self._append(declared)

    def end(self, number: int, value: str | None) -> None:
        """A member returns this JSON text; None: it fails."""
        told = {"task": "a.task", "attempt": 1}
        how = {"result": value} if value is not None else {"error_type": "ValueError", "error": "no good"}
        name = TaskSucceeded.TOPIC if value is not None else TaskFailed.TOPIC
        self._append(task_event(name, self.runs[number], at=datetime.now(UTC), data={**told, **how}))

    def keep(self, number: int, value: bytes) -> None:
        """What is kept of a member's value beside the log."""
        with self.store.transaction() as transaction:
            keep(transaction.connection, [Payload(self.runs[number], value)], is_compressed=True)

    def look(self) -> None:
        """Dispatch looks until it finds nothing more to do."""
        follower = FanInFollower(self.store, clock=lambda: datetime.now(UTC), page_events=100)
        follower.take_over()
        while follower.step():
            pass

    def story(self) -> list[Event]:
        """What was recorded of it."""
        return self.store.load(Log.TASKS, [fan_in_stream(self.id)])[fan_in_stream(self.id)]

    def body_story(self) -> Sequence[Event]:
        """What was recorded of its body."""
        return self.told(self.body)

    def told(self, run_id: str) -> Sequence[Event]:
        """What was recorded of a run."""
        return self.store.load(Log.TASKS, [run_stream(run_id)]).get(run_stream(run_id), [])

    def tell(self, run: int | str, name: str, **data: Any) -> None:
        """Something happens to a member, or to another run."""
        run_id = self.runs[run] if isinstance(run, int) else run
        attempt = {} if name == TaskDeadLettered.TOPIC else {"attempt": 1}
        self._append(task_event(name, run_id, at=datetime.now(UTC), data={"task": "a.task", **attempt, **data}))

    def _append(self, event: Event) -> None:
        self.store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=datetime.now(UTC), actor="test")))


def waited_for(store: EventStore) -> set[str]:
    """The fan-ins of which anything is kept beside the log."""
    with store.transaction() as transaction:
        rows = transaction.connection.execute("""
            select fan_in_id from event_store.fan_in_members union select fan_in_id from event_store.fan_in_places
        """).fetchall()
    return {fan_in_id for (fan_in_id,) in rows}
