"""Skipping events: projections pass over them, and that they do is a fact in the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from domain.cause import Cause
from domain.skip import EventSkipped
from infra.event_store import Checkpoint, EventStore, Log, Page, Transaction, caused, skipped_positions
from projections.counted_skips import CountedSkip, note_counted
from projections.draft import DRAFT_SCHEMA, draft_follower
from projections.projection import Projection, follower
from projections.rows import driver
from projections.tables import PARKED_EVENTS, SCHEMA

_FIND: Final = " union all ".join(
    f"select '{log.value}' as log, position, stream_id, name from event_store.{log.table} where event_id = %(id)s"  # noqa: S608  our own names
    for log in Log
)
_UNPARK: Final = SQL("delete from {} where projection = %s and log = %s and position = %s")
_LET_GO: Final = "delete from event_store.checkpoints where follower = %s and log = %s and position = 0"
_SAID: Final = """
    select skipped_by, skipped_at, reason from analytics.meta_skipped_events where event_id = %s
"""


class SkipRefusedError(Exception):
    """The event cannot be skipped; the text says why."""


class Skipped(NamedTuple):
    """What became of a wish to skip an event.

    Attributes:
        log: where the event is.
        position: its place there.
        name: its stored name.
        parked_by: projections that had parked it, and no longer have.
        counted_by: projections that had counted it, and go on counting it until they are rebuilt.
        drafts: projections whose draft had counted it: such a draft is neither switched in nor rolled back to.
    """

    log: Log
    position: int
    name: str
    parked_by: list[str]
    counted_by: list[str]
    drafts: list[str]


_Was = Literal["ahead", "parked", "counted"]
"""What an event was for a set of tables when it was skipped."""


class _Place(NamedTuple):
    log: str
    position: int
    stream_id: str
    name: str


def unskipped(connection: sa.Connection, log: Log, page: Page) -> Page:
    """The page without the events that are skipped, as the caller's transaction sees it.

    To be asked once the transaction holds the checkpoint: a skip is recorded by whoever holds it too, so it comes
    before the page or after it.
    """
    # Both are in order of position.
    ends = (page.events[:1], page.events[-1:], page.unreadable[:1], page.unreadable[-1:])
    positions = [each.position for some in ends for each in some]
    if not positions:
        return page
    skipped = skipped_positions(driver(connection), log, first=min(positions), last=max(positions))
    if not skipped:
        return page
    return page._replace(
        events=[each for each in page.events if each.position not in skipped],
        unreadable=[each for each in page.unreadable if each.position not in skipped],
    )


def skip(
    store: EventStore, projections: Sequence[Projection], event_id: UUID, *, reason: str, by: str, at: datetime
) -> Skipped:
    """Record that ``event_id`` is skipped: every projection passes over it from now on, and every rebuild does.

    Args:
        store: where the event is.
        projections: all there are.
        event_id: the event's id.
        reason: why, for whoever audits it.
        by: who decided.
        at: now.

    Raises:
        SkipRefusedError: there is no such event, it says itself that one is skipped, or it is skipped already.
    """
    with store.transaction() as transaction:
        place = _find(transaction.connection, event_id)
        log = Log(place.log)
        followers = [each for each in projections if place.name in each.follows.get(log, ())]
        became = {each.name: _leave_out(transaction.connection, each.name, place) for each in followers}
        _record(transaction, event_id, place, Cause(id=uuid4(), at=at, actor=by), reason=reason)
    parked, counted = ([name for name, (live, _) in became.items() if live == state] for state in ("parked", "counted"))
    drafts = [name for name, (_, draft) in became.items() if draft == "counted"]
    return Skipped(log, place.position, place.name, parked, counted, drafts)


def _leave_out(connection: psycopg.Connection[Any], projection: str, place: _Place) -> tuple[_Was, _Was]:
    """Hold where the live tables and the draft stand, in this order as a switch does, and see to what they had done."""
    live = _was(connection, projection, place, name=follower(projection), schema=SCHEMA)
    draft = _was(connection, projection, place, name=draft_follower(projection), schema=DRAFT_SCHEMA)
    # There may be no draft; one that begins meanwhile waits for this row and finds the skip.
    connection.execute(_LET_GO, (draft_follower(projection), place.log))
    return live, draft


def _was(connection: psycopg.Connection[Any], projection: str, place: _Place, *, name: str, schema: str) -> _Was:
    if Checkpoint.hold(connection, name, Log(place.log)) < place.position:
        return "ahead"
    unpark = _UNPARK.format(Identifier(schema, PARKED_EVENTS.name))
    if connection.execute(unpark, (projection, place.log, place.position)).rowcount:
        return "parked"
    note_counted(connection, name, CountedSkip(place.log, place.position, place.name))
    return "counted"


def _record(transaction: Transaction, event_id: UUID, place: _Place, cause: Cause, *, reason: str) -> None:
    fact = EventSkipped.record(
        event_id,
        log=place.log,
        position=place.position,
        stream=place.stream_id,
        name=place.name,
        reason=reason,
        at=cause.at,
    )
    (verdict,) = transaction.append_each(Log.LICENSING, caused([fact], cause))
    if verdict.outcome == "taken":
        said = transaction.connection.execute(_SAID, (str(event_id),)).fetchone()
        who, when, why = said or ("somebody", cause.at, "?")
        raise SkipRefusedError(f"{event_id} is skipped already, by {who} at {when:%Y-%m-%d %H:%M:%S} UTC: {why}")


def _find(connection: psycopg.Connection[Any], event_id: UUID) -> _Place:
    with connection.cursor(row_factory=class_row(_Place)) as cursor:
        place = cursor.execute(_FIND, {"id": event_id}).fetchone()
    if place is None:
        logs = ", ".join(log.value for log in Log)
        raise SkipRefusedError(f"no event has the id {event_id}, in none of the logs {logs}")
    if place.name == EventSkipped.TOPIC:
        raise SkipRefusedError(f"{event_id} says itself that an event is skipped; that cannot be skipped")
    return place
