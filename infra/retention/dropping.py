"""Dropping a part: the row that says so and the partition's end are one transaction."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg import Connection, errors
from psycopg.sql import SQL

from infra.event_store.log import Log
from infra.event_store.log_table import SCHEMA
from infra.retention.parts import Part
from infra.retention.shelf import shelved_upto

LOCK_TIMEOUT: Final = "2s"
"""Whoever uses the log in a long transaction is not waited for longer: everyone else would wait behind us."""

_LAST: Final = "select max(position) from {part}"
_SAY: Final = """
    insert into event_store.drops (log, part, first_position, last_position, event_count, dropped_by)
    select %(log)s, %(part)s, %(first)s, %(last)s, sum(octet_length(leaves) / 40), %(by)s
    from event_store.dropped_leaves where log = %(log)s and part = %(part)s
    returning event_count
"""


class LogInUseError(Exception):
    """Somebody uses the log in a long transaction; nothing was dropped."""


class PartGrewError(Exception):
    """Something was stored in the part since it was looked at; nothing was dropped."""


class PartNotArchivedError(Exception):
    """Something of the part is in no archive; nothing was dropped."""


class Dropped(NamedTuple):
    """A part that was dropped, and how many events it had."""

    part: str
    events: int


def drop(connection: Connection[Any], log: Log, part: Part, *, by: str) -> Dropped:
    """Drop a part that is in archives and whose digests are kept.

    Args:
        connection: in autocommit.
        log: the part's.
        part: as it was looked at; not empty.
        by: who asks for it.

    Raises:
        LogInUseError: the log could not be had for oneself.
        PartGrewError: the part has another last event by now.
        PartNotArchivedError: its last event is in no archive.
    """
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
            # The log first, as whoever appends does; only then does nothing come in between.
            connection.execute(f"lock table only {SCHEMA}.{log.table} in access exclusive mode".encode())
            ((last,),) = connection.execute(SQL(_LAST).format(part=part.table)).fetchall()
            if last != part.last_position:
                raise PartGrewError(f"{part.name} of log {log.value} has grown; look again")
            if last > shelved_upto(connection, log):
                raise PartNotArchivedError(f"{part.name} of log {log.value} is not archived up to position {last}")
            values = {"log": log.value, "part": part.name, "first": part.first_position, "last": last, "by": by}
            ((events,),) = connection.execute(_SAY, values).fetchall()
            connection.execute(SQL("drop table {}").format(part.table))
    except errors.LockNotAvailable as error:
        raise LogInUseError(f"log {log.value} is in use by a long transaction; nothing was dropped") from error
    return Dropped(part.name, int(events))
