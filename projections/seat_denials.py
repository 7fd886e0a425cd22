"""Denials: which uses of a license were asked for and not admitted, and why?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.session_denial import SessionDenied, denial_stream
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class DenialRow(msgspec.Struct):
    """A row of ``read_model.seat_denials``."""

    denial_id: str
    license_id: str | None = None
    session_id: str | None = None
    wish: str | None = None
    reason: str | None = None
    seats: int | None = None
    seat_limit: int | None = None
    seats_taken: int | None = None
    host: str | None = None
    denied_at: datetime | None = None
    recorded_at: datetime | None = None


class SeatDenials(Fold[DenialRow]):
    """One row per use of a license that was denied."""

    name = "seat_denials"
    question = "Which sessions were not let in, and why?"
    follows: ClassVar = {Log.LICENSING: (SessionDenied.TOPIC,)}
    table: ClassVar[sa.Table] = tables.SEAT_DENIALS
    shape = DenialRow

    def key(self, event: Event) -> Key:
        """The denial."""
        return (event.originator_id.removeprefix(denial_stream("")),)

    def fold(self, row: DenialRow, recorded: Recorded) -> None:
        """Take over what the event says."""
        event = recorded.event
        if not isinstance(event, SessionDenied):
            raise TypeError(f"{event.TOPIC} is no denial")
        row.license_id, row.session_id, row.host = event.license_id, event.session_id, event.host
        row.wish, row.reason = event.wish.value, event.reason.value
        row.seats, row.seat_limit, row.seats_taken = event.seats, event.limit, event.taken
        row.denied_at, row.recorded_at = event.timestamp, recorded.recorded_at
