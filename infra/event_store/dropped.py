"""Events that were dropped from a log and are in an archive: where they lie, and who reads them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple, Protocol

from psycopg import Connection
from psycopg.rows import args_row

from infra.event_store.log import Log
from infra.event_store.log_table import Found

DROPPED_LOGS: Final = frozenset({Log.HEARTBEATS})
"""The logs of which parts may be dropped."""

_NEXT: Final = """
    select seal.after_position, seal.upto_position, archive.file_name, archive.sha256, archive.upto_position
    from event_store.dropped_leaves dropped
    join event_store.drops using (log, part)
    join event_store.seals seal using (log, number)
    join event_store.archives archive
        on archive.log = seal.log and seal.number between archive.first_number and archive.last_number
    where dropped.log = %s and dropped.upto_position > %s
    order by dropped.upto_position
    limit 1
"""
_FILES: Final = """
    select file_name from event_store.archives archive
    where log = %s and upto_position > %s and exists (
        select from event_store.dropped_leaves dropped join event_store.drops using (log, part)
        where dropped.log = archive.log
            and dropped.upto_position > archive.after_position and dropped.upto_position <= archive.upto_position
    )
    order by first_number
"""


class Stretch(NamedTuple):
    """A sealed stretch of a log some events of which were dropped.

    Attributes:
        after_position: it begins after this position …
        upto_position: … and ends with this one.
        file_name: the archive that holds all of it.
        sha256: that file's.
        archive_upto: the last position that the archive holds.
    """

    after_position: int
    upto_position: int
    file_name: str
    sha256: bytes
    archive_upto: int


class ArchiveMissingError(Exception):
    """A log was asked for events that were dropped from it, and their archive cannot be read."""


class Archived(Protocol):
    """Whoever reads the archives of what was dropped."""

    def check(self, log: Log, file_names: Collection[str]) -> None:
        """See that these archives are there.

        Raises:
            ArchiveMissingError: one of them is not.
        """

    def page(
        self, stretch: Stretch, *, after: int, upto: int, limit: int, names: Collection[str]
    ) -> tuple[list[Found], int]:
        """Events after a position of the stretch, from its archive, in order; those that were not dropped, too.

        Args:
            stretch: where ``after`` lies, or where it ends.
            after: position after which to read.
            upto: position behind which not to read.
            limit: most events to return.
            names: only events of these names; all where empty.

        Returns:
            the events, and the position up to which everything has been looked at.

        Raises:
            ArchiveMissingError: the archive is not there, or is not the one that was written.
        """


class NoArchives:
    """For who was not told where archives are: what was dropped cannot be read."""

    def check(self, log: Log, file_names: Collection[str]) -> None:
        """Refuse."""
        if file_names:
            raise ArchiveMissingError(_UNTOLD.format(log=log.value, names=", ".join(file_names)))

    def page(
        self, stretch: Stretch, *, after: int, upto: int, limit: int, names: Collection[str]
    ) -> tuple[list[Found], int]:
        """Refuse."""
        del after, upto, limit, names
        raise ArchiveMissingError(_UNTOLD.format(log=Log.HEARTBEATS.value, names=stretch.file_name))


_UNTOLD: Final = "events of log {log} were dropped and are in {names}: set LEDGERQ_ARCHIVE_DIR to where archives are"


def next_stretch(connection: Connection[Any], log: Log, *, after: int) -> Stretch | None:
    """The first stretch that lacks dropped events and reaches beyond a position; None: there is none."""
    if log not in DROPPED_LOGS:
        return None
    with connection.cursor(row_factory=args_row(Stretch)) as cursor:
        return cursor.execute(_NEXT, (log.value, after), prepare=True).fetchone()


def needed_archives(connection: Connection[Any], log: Log, *, after: int) -> list[str]:
    """Names of the archives without which the log cannot be read from a position on, in order."""
    if log not in DROPPED_LOGS:
        return []
    return [name for (name,) in connection.execute(_FILES, (log.value, after)).fetchall()]
