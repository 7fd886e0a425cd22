"""Lapses: when did sessions fall silent, and when did they come back?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.session_events import SessionLapsed, SessionResumed
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class SessionLapseRow(msgspec.Struct):
    """A row of ``read_model.session_lapses``."""

    session_id: str
    version: int
    lapsed_at: datetime | None = None
    patience_over_at: datetime | None = None
    judged_at: datetime | None = None
    recorded_at: datetime | None = None
    resumed_at: datetime | None = None


class SessionLapses(Fold[SessionLapseRow]):
    """One row per lapse of a session, with the return that undid it.

    A return is the fact that follows its lapse. Where somebody skipped the lapse, the row has a return only.
    """

    name = "session_lapses"
    question = "When did sessions fall silent, and when did they come back?"
    follows: ClassVar = {Log.LICENSING: (SessionLapsed.TOPIC, SessionResumed.TOPIC)}
    begun_by: ClassVar = (SessionLapsed.TOPIC,)
    table: ClassVar[sa.Table] = tables.SESSION_LAPSES
    shape = SessionLapseRow

    def key(self, event: Event) -> Key:
        """The session, and the place of the lapse in its stream."""
        version = event.originator_version - isinstance(event, SessionResumed)
        return (event.originator_id.removeprefix("session-"), version)

    def fold(self, row: SessionLapseRow, recorded: Recorded) -> None:
        """Take over what the event says."""
        match recorded.event:
            case SessionLapsed() as event:
                row.lapsed_at, row.patience_over_at = event.timestamp, event.patience_over_at
                row.judged_at, row.recorded_at = event.judged_at, recorded.recorded_at
            case SessionResumed() as event:
                row.resumed_at = event.timestamp
            case other:
                raise TypeError(f"{other.TOPIC} is neither a lapse nor a return")
