"""Seats: which sessions hold one of which license. The database notes it as it appends sessions' events.

The table follows from the log and nothing else (migration ``seats``): a trigger on the log of licensing writes it in
the transaction that appends, whoever appends. Who decides about a seat locks the license first; the lock is that of the
license's own first event in the log, and ends with the transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.rows import args_row

from domain.license import license_stream

# In one order: nobody waits in a circle.
_LOCK: Final = b"""
    select stream_id from event_store.licensing_events
    where stream_id = any(%b::text[]) and version = 1 order by stream_id for no key update
"""
_TAKEN: Final = b"""
    select license_id, count(*) from event_store.seats where license_id = any(%b::text[]) group by license_id
"""
_DIFFERENCES: Final = b"""
    select license_id, session_id, is_held from event_store.seat_differences() order by license_id, session_id
"""
_MEND: Final = b"select event_store.mend_seats()"


class SeatDifference(NamedTuple):
    """A seat about which the table and the log differ.

    Attributes:
        license_id: of which license.
        session_id: which session.
        is_held: whether the log says that the session holds it; then the table lacks it, else it has it for nothing.
    """

    license_id: str
    session_id: str
    is_held: bool


def lock_licenses(connection: Connection[Any], license_ids: Collection[str]) -> None:
    """Have nobody else decide about seats of these licenses, or change one of them, until the transaction ends.

    Waits for whoever does. One that does not exist cannot be locked.
    """
    connection.execute(_LOCK, [[license_stream(each) for each in license_ids]])


def taken_seats(connection: Connection[Any], license_ids: Collection[str]) -> dict[str, int]:
    """How many seats of each license are taken, by its id; those of which none is are left out.

    Exact for the licenses that are locked, up to sessions that give theirs back at this moment.
    """
    return dict(connection.execute(_TAKEN, [list(license_ids)]).fetchall())


def seat_differences(connection: Connection[Any]) -> list[SeatDifference]:
    """Where the table is not what the log says; nothing, unless somebody wrote to it. Reads the whole log."""
    with connection.cursor(row_factory=args_row(SeatDifference)) as cursor:
        return cursor.execute(_DIFFERENCES).fetchall()


def mend_seats(connection: Connection[Any]) -> int:
    """Make the table what the log says; how many rows that concerned. Sessions wait meanwhile."""
    row = connection.execute(_MEND).fetchone()
    return int(row[0]) if row else 0
