"""The seals in the database, and the digests of events: statements on a connection of the caller's, in autocommit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from psycopg import Connection, errors
from psycopg.sql import SQL, Composed, Identifier

from infra.event_store.log import Log
from infra.event_store.log_table import SCHEMA, LogTable
from infra.events.seal import LEAF_SQL, Leaf, Seal, unpack_whole

FIRST_POSITION: Final = -(2**63)
_PAGE_SEALS: Final = 50
_COLUMNS: Final = "log, number, after_position, upto_position, leaves, previous, hash, signature, sealed_at"
_LAST: Final = f"select {_COLUMNS} from event_store.seals where log = %s order by number desc limit 1"  # noqa: S608
_SEALS: Final = f"""
    select {_COLUMNS} from event_store.seals where log = %s and number > %s order by number limit %s
"""  # noqa: S608  constants
_NUMBER: Final = "select coalesce(max(number), 0) from event_store.seals where log = %s and upto_position <= %s"
_NUMBER_THROUGH: Final = """
    select coalesce(min(number), 0) from event_store.seals where log = %s and upto_position >= %s
"""
_DROPPED: Final = """
    select leaves from event_store.dropped_leaves join event_store.drops using (log, part)
    where log = %s and upto_position = %s
"""
_HAS_DROPPED: Final = "select exists (select from event_store.drops where log = %s)"
_ARCHIVE_OF_DROPPED: Final = """
    select file_name from event_store.archives
    where log = %(log)s and %(number)s between first_number and last_number and exists (
        select from event_store.dropped_leaves join event_store.drops using (log, part)
        where log = %(log)s and upto_position = %(upto)s
    )
"""
_INSERT: Final = f"insert into event_store.seals ({_COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608
_LEAVES: Final = f"""
    select position, {LEAF_SQL} from {{table}}
    where position > %(after)s and position <= %(upto)s order by position limit %(limit)s
"""  # noqa: S608  constants
_WAITING: Final = Path(__file__).with_name("seals_waiting.sql").read_text(encoding="utf-8")
_COUNT: Final = "select count(*) from {table} where position > %(after)s and position <= %(upto)s"


class Waiting(NamedTuple):
    """What is final and not sealed yet.

    Attributes:
        since: when its first event was recorded; None: there is nothing.
        fills_block: whether it is a whole block.
    """

    since: datetime | None
    fills_block: bool


class SealTable:
    """Reads and adds seals."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._tables = {log: LogTable(log.table) for log in Log}

    def safe_position(self, log: Log) -> int:
        """The log is final up to here."""
        return self._tables[log].safe_position(self._connection)

    def last(self, log: Log) -> Seal | None:
        """The newest seal of a log."""
        row = self._connection.execute(_LAST.encode(), (log.value,)).fetchone()
        return _seal(row) if row else None

    def number_at(self, log: Log, position: int) -> int:
        """The number of the last seal that covers nothing after the position; 0 where there is none."""
        row = self._connection.execute(_NUMBER.encode(), (log.value, position)).fetchone()
        return int(row[0]) if row else 0

    def number_through(self, log: Log, position: int) -> int:
        """The number of the seal that covers the position; 0 where it is not sealed."""
        row = self._connection.execute(_NUMBER_THROUGH.encode(), (log.value, position)).fetchone()
        return int(row[0]) if row else 0

    def has_dropped(self, log: Log) -> bool:
        """Whether parts of the log were dropped."""
        ((found,),) = self._connection.execute(_HAS_DROPPED.encode(), (log.value,)).fetchall()
        return bool(found)

    def dropped(self, seal: Seal) -> list[Leaf]:
        """The places and digests of the events under the seal that were dropped with their part."""
        rows = self._connection.execute(_DROPPED.encode(), (seal.log.value, seal.upto_position)).fetchall()
        return [leaf for (packed,) in rows for leaf in unpack_whole(packed)]

    def archive_of_dropped(self, seal: Seal) -> str | None:
        """The name of the archive that has the events under the seal; None where none of them was dropped."""
        values = {"log": seal.log.value, "number": seal.number, "upto": seal.upto_position}
        row = self._connection.execute(_ARCHIVE_OF_DROPPED.encode(), values).fetchone()
        return str(row[0]) if row else None

    def all(self, log: Log, *, after_number: int = FIRST_POSITION) -> Iterator[Seal]:
        """The seals of a log after a number, in order; all of them where none is given."""
        number = after_number
        while True:
            page = self._connection.execute(_SEALS.encode(), (log.value, number, _PAGE_SEALS)).fetchall()
            yield from map(_seal, page)
            if len(page) < _PAGE_SEALS:
                return
            number = page[-1][1]

    def add(self, seal: Seal) -> bool:
        """Store a seal; False where another one has its number already."""
        try:
            self._connection.execute(_INSERT.encode(), (seal.log.value, *seal[1:]))
        except errors.UniqueViolation:
            return False
        return True

    def leaves(self, log: Log, *, after: int, upto: int, limit: int | None = None) -> list[Leaf]:
        """The places and digests of the events after one position and up to another."""
        values = {"after": after, "upto": upto, "limit": limit}
        with self._connection.cursor(binary=True) as cursor:
            return [Leaf(*row) for row in cursor.execute(_on(_LEAVES, log), values).fetchall()]

    def waiting(self, log: Log, *, after: int, upto: int, block: int) -> Waiting:
        """What is not sealed yet, where ``block`` events are a whole block."""
        values = {"after": after, "upto": upto, "block": block}
        row = self._connection.execute(_on(_WAITING, log), values).fetchone()
        return Waiting(*row) if row else Waiting(None, fills_block=False)

    def count(self, log: Log, *, after: int, upto: int) -> int:
        """How many events there are after one position and up to another."""
        row = self._connection.execute(_on(_COUNT, log), {"after": after, "upto": upto}).fetchone()
        return int(row[0]) if row else 0


def _seal(row: tuple[Any, ...]) -> Seal:
    return Seal(Log(row[0]), *row[1:])


def _on(query: str, log: Log) -> Composed:
    return SQL(query).format(table=Identifier(SCHEMA, log.table))
