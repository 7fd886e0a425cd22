"""Skipping events: projections pass over them, and that they do is a fact in the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID, uuid4

import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from domain.cause import Cause
from domain.skip import EventSkipped
from infra.event_store import EventStore, Log, Page, skipped_positions
from projections.counted_skips import CountedSkip, note_counted
from projections.projection import Projection
from projections.rows import driver
from projections.skip_decisions import SkipRefusedError, decide, find, last_decision, settle
from projections.tables import PARKED_EVENTS

_UNPARK: Final = SQL("delete from {} where projection = %s and log = %s and position = %s")


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


_Was = Literal["ahead", "parked", "counted", "left out"]
"""What an event was for a set of tables when it was skipped; left out: they passed it when it was skipped before."""


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
        connection = transaction.connection
        place = find(connection, event_id)

        def leave_out(projection: str, name: str, schema: str) -> _Was:
            unpark = _UNPARK.format(Identifier(schema, PARKED_EVENTS.name))
            if connection.execute(unpark, (projection, place.log, place.position)).rowcount:
                return "parked"
            is_counted = note_counted(connection, name, CountedSkip(place.log, place.position, place.name))
            return "counted" if is_counted else "left out"

        became = settle(connection, projections, place, ahead="ahead", passed=leave_out)
        last = last_decision(connection, event_id)
        if last and last.name == EventSkipped.TOPIC:
            raise SkipRefusedError(f"{event_id} is skipped already, {last}")
        cause = Cause(id=uuid4(), at=at, actor=by)
        decide(transaction, EventSkipped, event_id, place, after=last, cause=cause, reason=reason)
    parked, counted = ([name for name, (live, _) in became.items() if live == state] for state in ("parked", "counted"))
    drafts = [name for name, (_, draft) in became.items() if draft == "counted"]
    return Skipped(Log(place.log), place.position, place.name, parked, counted, drafts)
