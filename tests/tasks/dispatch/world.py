"""What a test about dispatch does: accept runs, let followers look, see what the broker and the log have of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from domain.aggregate import Event
from domain.cause import Cause
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from domain.tier import Tier
from infra.broker import topology
from infra.broker.connection import connect
from infra.broker.depths import QueueDepths
from infra.broker.publisher import Publisher
from infra.event_store import EventStore, Log, NewEvent, caused
from infra.settings import Settings
from tasks.dispatch.pressure import Depths, Pressure
from tasks.dispatch.publishing import PublishingFollower


class Delivered(NamedTuple):
    """A message as a consumer of a tier's queue gets it."""

    run_id: str
    headers: dict[str, Any]
    body: list[Any]
    priority: int


class World:
    """A platform of its own.

    Attributes:
        channel: a pika channel.
        depths: what followers ask about queues.
    """

    def __init__(self, settings: Settings, store: EventStore) -> None:
        self.settings = settings
        self.store = store
        self._connection = connect(settings, role="test")
        self.channel = self._connection.channel()
        self.publishers: list[Publisher] = []
        self._tampered = False
        self.depths = QueueDepths(settings, role="test depths")

    def accept(self, task: str = "a.task", *, run_id: UUID | None = None, **fields: Any) -> str:
        """Accept one run; its id."""
        (accepted,) = self.accept_all([(run_id or uuid4(), task, fields)])
        return accepted

    def accept_all(self, runs: list[tuple[UUID, str, dict[str, Any]]]) -> list[str]:
        """Accept runs in one transaction; their ids."""
        now = datetime.now(UTC)
        new = [
            accepted
            for run_id, task, fields in runs
            for accepted in caused([_requested(run_id, task, now, fields)], Cause(id=run_id, at=now, actor="test"))
        ]
        self.store.append(Log.TASKS, new)
        return [str(run_id) for run_id, _, _ in runs]

    def follower(
        self,
        publisher: Publisher | None = None,
        *,
        page_runs: int = 100,
        limit_messages: int = 1_000_000,
        depths: Depths | None = None,
    ) -> PublishingFollower:
        """A publishing follower that has taken over."""
        if publisher is None:
            publisher = Publisher(self.settings, role="test dispatch")
            self.publishers.append(publisher)
        pressure = Pressure(self.store, depths or self.depths, clock=_now, limit_messages=limit_messages)
        made = PublishingFollower(self.store, publisher, clock=_now, page_runs=page_runs, pressure=pressure)
        made.take_over()
        return made

    def waiting_in(self, tier: Tier) -> list[Delivered]:
        """Take everything out of a tier's queue."""
        taken: list[Delivered] = []
        while True:
            method, properties, body = self.channel.basic_get(tier.queue, auto_ack=True)
            if method is None:
                return taken
            headers = properties.headers or {}
            taken.append(Delivered(headers["id"], headers, json.loads(body), properties.priority))

    def everything_waiting(self) -> list[Delivered]:
        """Take everything out of every tier's queue."""
        return [message for tier in Tier for message in self.waiting_in(tier)]

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def names_in(self, run_id: str) -> list[str]:
        """The names of a run's events, in order of slot."""
        return [event.name for event in self.stream(run_id)]

    def stream(self, run_id: str) -> list[Event]:
        """A run's events."""
        return self.store.load(Log.TASKS, [run_stream(run_id)]).get(run_stream(run_id), [])

    def published(self) -> set[str]:
        """Ids of the runs recorded as published."""
        page = self.store.read(Log.TASKS, after=0, limit=100_000, names=("task.published",))
        return {recorded.event.originator_id.removeprefix(run_stream("")) for recorded in page.events}

    def count_published(self) -> int:
        """How many runs are recorded as published."""
        with self.store.transaction() as transaction:
            counted = transaction.connection.execute(
                "select count(*) as runs from event_store.task_events where name = 'task.published'"
            ).fetchone()
        return int(counted[0]) if counted else 0

    def record(self, event: Event) -> None:
        """Store an event as somebody else would."""
        self.store.append(Log.TASKS, [NewEvent(event, uuid4(), {})])

    def sql(self, statement: str, *values: object) -> None:
        """Change the database behind everyone's back."""
        with psycopg.connect(self.settings.database_url.get_secret_value(), autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def unbind(self, tier: Tier) -> None:
        """Take a tier's queue off the exchange, as a mistake would."""
        self._tampered = True
        self.channel.queue_unbind(tier.queue, "tasks", tier.queue)

    def bind(self, tier: Tier) -> None:
        """Put it right."""
        self.channel.queue_bind(tier.queue, "tasks", tier.queue)

    def make_small(self, tier: Tier) -> None:
        """Have a queue in the tier's place that has room for one message."""
        self._tampered = True
        self.channel.queue_delete(tier.queue)
        small = {"x-max-length": 1, "x-overflow": "reject-publish"}
        self.channel.queue_declare(tier.queue, durable=True, arguments=small)
        self.bind(tier)

    def close(self) -> None:
        """Leave the broker as it was."""
        for publisher in self.publishers:
            publisher.close()
        if self._tampered:
            for tier in Tier:
                self.channel.queue_delete(tier.queue)
            self.channel.queue_purge("unrouted")
            topology.apply(self.settings)
        self.depths.close()
        self._connection.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _requested(run_id: UUID, task: str, at: datetime, fields: dict[str, Any]) -> TaskRequested:
    return TaskRequested(
        originator_id=run_stream(run_id), originator_version=SLOT_REQUESTED, timestamp=at, task=task, **fields
    )
