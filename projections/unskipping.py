"""Taking a skip back: projections count the event again, and that they do is a fact in the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

from domain.cause import Cause
from domain.skip import EventSkipped, EventUnskipped
from infra.event_store import EventStore, Log
from projections.counted_skips import CountedSkip, note_counted
from projections.projection import Projection
from projections.skip_decisions import SkipRefusedError, decide, find, last_decision, settle


class Unskipped(NamedTuple):
    """What became of a wish to take a skip back.

    Attributes:
        log: where the event is.
        position: its place there.
        name: its stored name.
        counted_by: projections that had counted it before it was skipped, and are right again.
        missed_by: projections that had passed over it, and lack it until they are rebuilt.
        drafts: projections whose draft had passed over it: such a draft is neither switched in nor rolled back to.
    """

    log: Log
    position: int
    name: str
    counted_by: list[str]
    missed_by: list[str]
    drafts: list[str]


_Was = Literal["ahead", "counted", "missed"]
"""What the event was for a set of tables while it was skipped."""


def unskip(
    store: EventStore, projections: Sequence[Projection], event_id: UUID, *, reason: str, by: str, at: datetime
) -> Unskipped:
    """Record that ``event_id`` is no longer skipped: whoever comes to it counts it, and every rebuild does.

    Args:
        store: where the event is.
        projections: all there are.
        event_id: the event's id.
        reason: why, for whoever audits it.
        by: who decided.
        at: now.

    Raises:
        SkipRefusedError: there is no such event, or it is not skipped.
    """
    with store.transaction() as transaction:
        connection = transaction.connection
        place = find(connection, event_id)

        def take_back(_projection: str, name: str, _schema: str) -> _Was:
            skip = CountedSkip(place.log, place.position, place.name, is_missing=True)
            return "missed" if note_counted(connection, name, skip) else "counted"

        became = settle(connection, projections, place, ahead="ahead", passed=take_back)
        last = last_decision(connection, event_id)
        if last is None:
            raise SkipRefusedError(f"{event_id} ({place.name}) is not skipped, and never was")
        if last.name != EventSkipped.TOPIC:
            raise SkipRefusedError(f"{event_id} is not skipped any more: taken back {last}")
        cause = Cause(id=uuid4(), at=at, actor=by)
        decide(transaction, EventUnskipped, event_id, place, after=last, cause=cause, reason=reason)
    counted, missed = ([name for name, (live, _) in became.items() if live == state] for state in ("counted", "missed"))
    drafts = [name for name, (_, draft) in became.items() if draft == "missed"]
    return Unskipped(Log(place.log), place.position, place.name, counted, missed, drafts)
