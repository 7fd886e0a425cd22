"""Parts of the heartbeats log: its partitions, as far as they may be dropped one day, and those of months to come."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection, errors
from psycopg.sql import SQL, Identifier

from infra.event_store.log import Log
from infra.event_store.log_table import SCHEMA

MONTHS_AHEAD: Final = 2
"""So many months after the present one have partitions; what clocks further ahead send goes to that of the rest."""
BEFORE: Final = "before"
"""The part that holds what was stored before there were months."""

_PREFIX: Final = f"{Log.HEARTBEATS.table}_"
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_MONTH: Final = re.compile(r"(\d{4})_(\d{2})")
_PARTITIONS: Final = """
    select part.relname, pg_total_relation_size(part.oid)
    from pg_inherits join pg_class part on part.oid = inhrelid
    where inhparent = 'event_store.heartbeat_events'::regclass
"""
_ENDS: Final = "select min(position), max(position) from {part}"
_RECORDED: Final = "select recorded_at from {part} where position = %s"
_HAS: Final = "select exists (select from {part} where position = %s)"
_MAKE: Final = """
    select event_store.make_heartbeat_month((%(first)s::date + make_interval(months => ahead))::date)
    from generate_series(0, %(ahead)s) as ahead
    where to_regclass('event_store.heartbeat_events_'
        || to_char(%(first)s::date + make_interval(months => ahead), 'YYYY_MM')) is null
"""


class Part(NamedTuple):
    """A partition of the heartbeats log that may be dropped.

    Attributes:
        name: ``2026_11``: the heartbeats of that month; ``before``: what was stored before there were months.
        ends_at: everything in it is older: the month's end; for ``before`` when its newest event was recorded.
        first_position: of its first event; None where it is empty.
        last_position: of its last event.
        size_bytes: with its indexes.
    """

    name: str
    ends_at: datetime
    first_position: int | None
    last_position: int | None
    size_bytes: int

    @property
    def table(self) -> Identifier:
        """Its table."""
        return table_of(self.name)


def table_of(part: str) -> Identifier:
    """The table of a part."""
    return Identifier(SCHEMA, _PREFIX + part)


def parts(connection: Connection[Any]) -> list[Part]:
    """The parts there are, the oldest first."""
    found = [(str(name).removeprefix(_PREFIX), size) for name, size in connection.execute(_PARTITIONS).fetchall()]
    kept = [_part(connection, name, size) for name, size in found if name == BEFORE or _MONTH.fullmatch(name)]
    return sorted(filter(None, kept), key=lambda part: (part.name != BEFORE, part.name))


def has_event_at(connection: Connection[Any], part: Part, position: int) -> bool:
    """Whether the event at a position of the log is in the part."""
    ((found,),) = connection.execute(SQL(_HAS).format(part=part.table), (position,)).fetchall()
    return bool(found)


def make_months(connection: Connection[Any], *, now: datetime) -> int:
    """Make the partitions of the present month and of :data:`MONTHS_AHEAD` more; how many were missing.

    Raises:
        psycopg.errors.LockNotAvailable: somebody reads the log in a long transaction; nothing was done.
    """
    first = now.astimezone(UTC).date().replace(day=1)
    with connection.transaction():
        connection.execute("set local lock_timeout = '2s'")
        return connection.execute(_MAKE, {"first": first, "ahead": MONTHS_AHEAD}).rowcount


def _part(connection: Connection[Any], name: str, size: int) -> Part | None:
    """A part as it stands; None where it was dropped just now."""
    table = table_of(name)
    try:
        ((first, last),) = connection.execute(SQL(_ENDS).format(part=table)).fetchall()
        recorded = connection.execute(SQL(_RECORDED).format(part=table), (last,)).fetchone()
    except errors.UndefinedTable:
        return None
    return Part(name, _month_end(name) or (recorded[0] if recorded else _NEVER), first, last, size)


def _month_end(name: str) -> datetime | None:
    month = _MONTH.fullmatch(name)
    if month is None:
        return None
    following = (date(int(month[1]), int(month[2]), 1) + timedelta(days=31)).replace(day=1)
    return datetime(following.year, following.month, 1, tzinfo=UTC)
