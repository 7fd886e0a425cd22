"""Reading what was done about schedules and what became of their slots; found by index, however long the log is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import args_row

from domain.aggregate import Event
from domain.schedule_events import FIRED_NAMES, SETTLED_NAMES, TOLD_NAMES
from infra.event_store.envelope import EventUnreadableError, Unreadable
from infra.event_store.log import Log
from infra.event_store.log_table import Found, LogTable
from infra.event_store.mapper import EventMapper


def _list(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


# The names stand in the texts and are no parameters: else the planner could not see that a partial index has the rows.
_TOLD: Final = f"""
    select position, stream_id, version, name, data::text, metadata::text, event_id, occurred_at, recorded_at
    from event_store.licensing_events
    where name in ({_list(TOLD_NAMES)}) and position > %b and position <= %b
    order by position limit %b
"""  # noqa: S608  constants
_LATE: Final = 500
"""So many of the facts about slots that were stored last may be of earlier ones: a leader that was frozen and does not
know yet that it is none stores those of one step."""
_SETTLED: Final = f"""
    select asked.name, slot.latest
    from unnest(%b::text[]) asked (name)
    cross join lateral (
        select max(stored.at) as latest
        from (
            select coalesce(data->>'slot_at', data->>'last_slot_at')::timestamptz as at
            from event_store.licensing_events
            where name in ({_list(SETTLED_NAMES)}) and data->>'schedule' = asked.name
            order by position desc limit {_LATE}
        ) stored
    ) slot
    where slot.latest is not null
"""  # noqa: S608  constants
_FIRED: Final = f"""
    select event_id, occurred_at, (data->>'slot_at')::timestamptz from event_store.licensing_events
    where name in ({_list(FIRED_NAMES)}) and data->>'schedule' = %b::text
    order by position desc limit %b
"""  # noqa: S608  constants


class Told(NamedTuple):
    """A look at what was done about schedules.

    Attributes:
        events: in order.
        unreadable: what this version of the code cannot read.
        position: how far the log has been looked at.
        is_all: whether that is as far as it can be.
    """

    events: list[Event]
    unreadable: list[Unreadable]
    position: int
    is_all: bool


class FiredSlot(NamedTuple):
    """That a slot was fired: the fact's id, when it was, and the slot."""

    event_id: UUID
    at: datetime
    slot_at: datetime


class ScheduleReader:
    """Statements on the log of licenses and schedules, each on a connection of the caller's, in autocommit."""

    def __init__(self) -> None:
        self._table = LogTable(Log.LICENSING.table)
        self._mapper = EventMapper()

    def told(self, connection: Connection[Any], *, after: int, limit: int) -> Told:
        """What was done about schedules after a position, ``limit`` events of it at most."""
        upto = self._table.safe_position(connection)
        with connection.cursor(binary=True, row_factory=args_row(Found)) as cursor:
            rows = cursor.execute(_TOLD.encode(), [after, upto, limit]).fetchall() if upto > after else []
        events, unreadable = [], []
        for row in rows:
            try:
                events.append(self._read(row))
            except EventUnreadableError as error:
                unreadable.append(Unreadable(row.position, row.stream_id, row.name, error.reason))
        is_all = len(rows) < limit
        return Told(events, unreadable, max(after, upto) if is_all else rows[-1].position, is_all)

    def settled(self, connection: Connection[Any], schedules: Collection[str]) -> dict[str, datetime]:
        """The latest slot of each schedule that something became of; a schedule without any is not in the answer."""
        return dict(connection.execute(_SETTLED.encode(), [list(schedules)]).fetchall())

    def fired(self, connection: Connection[Any], schedule: str, *, limit: int) -> list[FiredSlot]:
        """The slots of a schedule that were fired last, the latest first; those by hand too."""
        return [FiredSlot(*row) for row in connection.execute(_FIRED.encode(), [schedule, limit]).fetchall()]

    def _read(self, row: Found) -> Event:
        return self._mapper.to_event(
            row.name,
            row.data,
            stream_id=row.stream_id,
            version=row.version,
            occurred_at=row.occurred_at,
            metadata=msgspec.json.decode(row.metadata),
        )
