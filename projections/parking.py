"""Poison events: finding the ones a projection cannot handle, and putting them aside by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from infra.event_store import Log, Recorded, Unreadable
from projections.projection import Projection
from projections.tables import PARKED_EVENTS

REASON_CHARACTERS: Final = 1000


class Parked(NamedTuple):
    """An event that is left aside, and why."""

    position: int
    stream_id: str
    name: str
    reason: str


def apply_or_park(connection: sa.Connection, projection: Projection, events: Sequence[Recorded]) -> list[Parked]:
    """Apply ``events``; where that fails, halve them until those that cannot be handled stand alone.

    Everything happens in the caller's transaction, in order, each try in a savepoint: what fails leaves nothing behind.

    Returns:
        The events that cannot be handled.

    Raises:
        sqlalchemy.exc.DBAPIError, psycopg.Error: the database is away, busy or not as it should be; that is no
            event's fault.
    """
    if not events:
        return []
    try:
        with connection.begin_nested():
            projection.apply(connection, events)
    except Exception as error:
        if not is_fault_of_an_event(error):
            raise
        if len(events) == 1:
            return [_poison(events[0], error)]
        middle = len(events) // 2
        return [
            *apply_or_park(connection, projection, events[:middle]),
            *apply_or_park(connection, projection, events[middle:]),
        ]
    return []


def is_fault_of_an_event(error: Exception) -> bool:
    """Whether ``error`` comes from what the data is, and not from the database's condition or the schema's."""
    if isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, sa.exc.DataError | sa.exc.IntegrityError)
    if isinstance(error, psycopg.Error):
        return isinstance(error, psycopg.DataError | psycopg.IntegrityError)
    return not isinstance(error, MemoryError)


def unreadable(found: Unreadable) -> Parked:
    """What is parked for an event that the store could not turn into one this version of the code knows."""
    return Parked(found.position, found.stream_id, found.name, found.reason[:REASON_CHARACTERS])


def park(connection: sa.Connection, projection: str, log: Log, parked: Sequence[Parked]) -> None:
    """Remember ``parked`` in ``read_model.parked_events``, in the caller's transaction."""
    if parked:
        rows = [{"projection": projection, "log": log.value, **event._asdict()} for event in parked]
        connection.execute(insert(PARKED_EVENTS).on_conflict_do_nothing(), rows)


def forget_parked(connection: sa.Connection, projection: str) -> None:
    """Forget what ``projection`` has parked: it is about to try again."""
    connection.execute(sa.delete(PARKED_EVENTS).where(PARKED_EVENTS.c.projection == projection))


def _poison(recorded: Recorded, error: Exception) -> Parked:
    """Named by its class and its first line: what the database adds below (the statement, its parameters) is noise."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    first_line = (str(cause).splitlines() or [""])[0]
    event = recorded.event
    reason = f"{type(cause).__name__}: {first_line}"[:REASON_CHARACTERS]
    return Parked(recorded.position, event.originator_id, event.TOPIC, reason)
