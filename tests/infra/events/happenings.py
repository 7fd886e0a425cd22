"""Events of all logs for tests about reading and sealing them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from psycopg.sql import SQL, Identifier

from domain.aggregate import Event
from domain.heartbeat import Heartbeat, HeartbeatsReceived
from domain.license import License
from domain.task_run import task_event
from infra.event_store import EventStore, Log, NewEvent
from tests.infra.events.conftest import Connection

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds past noon."""
    return NOON + timedelta(seconds=seconds)


def license_issued(license_id: str, seconds: float = 0) -> Event:
    found = License.issue(license_id, valid_until=at(86_400), at=at(seconds), seats=5)
    (event,) = found.collect_events()
    assert isinstance(event, Event)
    return event


def told(run_id: str, name: str, seconds: float = 0, **data: object) -> Event:
    return task_event(f"task.{name}", run_id, at=at(seconds), data={"task": "bill", **data})


def started(run_id: str, seconds: float = 0, *, attempt: int = 1) -> Event:
    return told(run_id, "started", seconds, attempt=attempt, pid=1, worker="w1", queue="tasks.normal", priority=2)


def beats(*session_ids: str, seconds: float = 0) -> Event:
    return HeartbeatsReceived.of([Heartbeat(each, at(seconds)) for each in session_ids], batch_id=uuid4())


def record(store: EventStore, log: Log, *events: Event, **metadata: str) -> list[NewEvent]:
    """Append events, each with an id of its own."""
    new = [NewEvent(event, uuid4(), dict(metadata)) for event in events]
    store.append(log, new)
    return new


def recorded_at(connection: Connection, log: Log, position: int, when: datetime) -> None:
    """Say of an event that it was recorded then."""
    table = Identifier("event_store", log.table)
    with connection.transaction():
        connection.execute("set local ledgerq.maintenance = on")
        connection.execute(SQL("update {} set recorded_at = %s where position = %s").format(table), (when, position))
