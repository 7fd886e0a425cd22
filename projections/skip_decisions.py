"""Deciding whether an event is skipped: where it is, who has passed it, and the fact of the decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from domain.cause import Cause
from domain.skip import EventSkipped, EventUnskipped, SkipDecision, skip_stream
from infra.event_store import Checkpoint, Log, Transaction, caused
from projections.draft import DRAFT_SCHEMA, draft_follower
from projections.projection import Projection, follower
from projections.tables import SCHEMA

_FIND: Final = " union all ".join(
    f"select '{log.value}' as log, position, stream_id, name from event_store.{log.table} where event_id = %(id)s"  # noqa: S608  our own names
    for log in Log
)
_LAST: Final = """
    select version as number, name, metadata->>'actor' as by, occurred_at as at, data->>'reason' as reason
    from event_store.licensing_events where stream_id = %s order by version desc limit 1
"""
_LET_GO: Final = "delete from event_store.checkpoints where follower = %s and log = %s and position = 0"

Was = TypeVar("Was")


class SkipRefusedError(Exception):
    """The event cannot be skipped, or its skip cannot be taken back; the text says why."""


class Place(NamedTuple):
    """Where an event is, and what it is called."""

    log: str
    position: int
    stream_id: str
    name: str


class Decided(NamedTuple):
    """The latest decision about an event.

    Attributes:
        number: which it is, from 1.
        name: the stored name of its fact.
        by: who decided.
        at: when.
        reason: why.
    """

    number: int
    name: str
    by: str | None
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"by {self.by or 'somebody'} at {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"


def find(connection: psycopg.Connection[Any], event_id: UUID) -> Place:
    """Where the event is.

    Raises:
        SkipRefusedError: there is none of that id, or it is itself a decision about one.
    """
    with connection.cursor(row_factory=class_row(Place)) as cursor:
        place = cursor.execute(_FIND, {"id": event_id}).fetchone()
    if place is None:
        logs = ", ".join(log.value for log in Log)
        raise SkipRefusedError(f"no event has the id {event_id}, in none of the logs {logs}")
    if place.name in {EventSkipped.TOPIC, EventUnskipped.TOPIC}:
        raise SkipRefusedError(f"{event_id} says itself whether an event is skipped; that cannot be skipped")
    return place


def settle(
    connection: psycopg.Connection[Any],
    projections: Sequence[Projection],
    place: Place,
    *,
    ahead: Was,
    passed: Callable[[str, str, str], Was],
) -> dict[str, tuple[Was, Was]]:
    """Hold where the tables stand that the event concerns, and see to those that have passed it.

    Live tables first and then the draft's, as a switch does. Whoever is writing a page is waited for.

    Args:
        connection: in the transaction that will decide.
        projections: all there are.
        place: of the event.
        ahead: the answer for tables that have not come to it.
        passed: asked about the others, by projection, follower and schema.

    Returns:
        by projection, the answers for its live tables and for its draft.
    """

    def answer(projection: str, name: str, schema: str) -> Was:
        is_ahead = Checkpoint.hold(connection, name, log) < place.position
        return ahead if is_ahead else passed(projection, name, schema)

    log = Log(place.log)
    found: dict[str, tuple[Was, Was]] = {}
    for name in (each.name for each in projections if place.name in each.follows.get(log, ())):
        live = answer(name, follower(name), SCHEMA)
        found[name] = live, answer(name, draft_follower(name), DRAFT_SCHEMA)
        # There may be no draft; one that begins meanwhile waits for this row and finds the decision.
        connection.execute(_LET_GO, (draft_follower(name), place.log))
    return found


def last_decision(connection: psycopg.Connection[Any], event_id: UUID) -> Decided | None:
    """What was decided last about the event; None where nothing was."""
    with connection.cursor(row_factory=class_row(Decided)) as cursor:
        return cursor.execute(_LAST, (skip_stream(event_id),)).fetchone()


def decide(
    transaction: Transaction,
    decision: type[SkipDecision],
    event_id: UUID,
    place: Place,
    *,
    after: Decided | None,
    cause: Cause,
    reason: str,
) -> None:
    """Record a decision about the event, after the latest one.

    Raises:
        SkipRefusedError: somebody has decided about it at the same time.
    """
    fact = decision.record(
        event_id,
        number=after.number + 1 if after else 1,
        log=place.log,
        position=place.position,
        stream=place.stream_id,
        name=place.name,
        reason=reason,
        at=cause.at,
    )
    (verdict,) = transaction.append_each(Log.LICENSING, caused([fact], cause))
    if verdict.outcome == "taken":
        other = last_decision(transaction.connection, event_id)
        raise SkipRefusedError(f"{event_id} was decided about at the same time, {other}; look again")
