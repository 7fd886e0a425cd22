"""Reading what was dropped from a log, page by page, from the archives it is in."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from infra.event_store.dropped import ArchiveMissingError, Stretch
from infra.event_store.log import Log
from infra.event_store.log_table import Found
from infra.events.archive import ArchiveUnreadableError, read_archive
from infra.retention.shelf import file_hash

_ADVICE: Final = "nothing that needs it can be read until it is back"


class _Place(NamedTuple):
    """Where a file is being read: what comes next begins after the position."""

    file_name: str
    position: int
    rows: Iterator[Found]


class ArchivedEvents:
    """Reads archives from a directory; those who read page after page go on where the last page ended.

    Safe to use from several threads.

    Args:
        directory: where archives are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._place: _Place | None = None
        self._known: set[str] = set()

    def check(self, log: Log, file_names: Collection[str]) -> None:
        """See that these archives are there; their contents are looked at when they are read.

        Raises:
            ArchiveMissingError: one of them is not.
        """
        missing = [name for name in file_names if not (self._directory / name).is_file()]
        if missing:
            raise ArchiveMissingError(
                f"events of log {log.value} were dropped and are in archives that are not in {self._directory}:"
                f" {', '.join(missing)}; {_ADVICE}"
            )

    def page(
        self, stretch: Stretch, *, after: int, upto: int, limit: int, names: Collection[str]
    ) -> tuple[list[Found], int]:
        """See :meth:`infra.event_store.dropped.Archived.page`.

        Raises:
            ArchiveMissingError: the archive is not there, or is not the one that was written.
        """
        with self._lock:
            self.check(Log.HEARTBEATS, [stretch.file_name])
            try:
                return self._page(stretch, after=after, upto=upto, limit=limit, names=names)
            except ArchiveUnreadableError as error:
                raise ArchiveMissingError(f"{error}; {_ADVICE}") from error

    def _page(
        self, stretch: Stretch, *, after: int, upto: int, limit: int, names: Collection[str]
    ) -> tuple[list[Found], int]:
        rows = self._rows_from(stretch, after)
        found: list[Found] = []
        for row in rows:
            if row.position > upto:
                self._place = _Place(stretch.file_name, upto, chain((row,), rows))
                return found, upto
            if row.position > after and (not names or row.name in names):
                found.append(row)
            if len(found) == limit:
                self._place = _Place(stretch.file_name, row.position, rows)
                return found, row.position
        return found, min(upto, stretch.archive_upto)

    def _rows_from(self, stretch: Stretch, after: int) -> Iterator[Found]:
        """The rows of the stretch's archive, from one at or before ``after`` on."""
        place, self._place = self._place, None
        if place is not None and place.file_name == stretch.file_name and place.position <= after:
            return place.rows
        path = self._directory / stretch.file_name
        if stretch.file_name not in self._known:
            if file_hash(path) != stretch.sha256:
                raise ArchiveMissingError(f"{path} is not the archive that was written, or was changed; {_ADVICE}")
            self._known.add(stretch.file_name)
        return (row for block in read_archive(path) for row in block.events)


def archived_events(directory: Path | None) -> ArchivedEvents | None:
    """Who reads archives, by the setting ``LEDGERQ_ARCHIVE_DIR``; None: nobody."""
    return None if directory is None else ArchivedEvents(directory)
