"""The shelf: archives that retention has written of a log, one after another without holes, and where they stand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from psycopg import Connection

from infra.event_store.log import Log
from infra.events.archive import read_archive
from infra.events.archiving import ArchiveRefusedError, archive_seals, verify_archive
from infra.events.seals import SealTable

SEALS_EACH: Final = 5_000
"""Seals in one archive at most: of heartbeats 250,000 events. Who is interrupted has at most this to do again."""

_LAST: Final = """
    select last_number, upto_position from event_store.archives where log = %s order by first_number desc limit 1
"""
_ADD: Final = """
    insert into event_store.archives
        (log, first_number, last_number, after_position, upto_position, event_count, file_name, sha256)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class ShelfTakenError(Exception):
    """A file stands where an archive is to be written, and it is not that archive."""


class Shelved(NamedTuple):
    """An archive that was put on the shelf.

    Attributes:
        path: the file.
        events: how many it holds.
        size_bytes: how large it is.
    """

    path: Path
    events: int
    size_bytes: int


def shelved_upto(connection: Connection[Any], log: Log) -> int:
    """Up to which position the log is in archives; 0: there are none."""
    return _last(connection, log)[1]


def shelve(
    connection: Connection[Any], log: Log, *, upto: int, directory: Path, watch: Callable[[], None] = lambda: None
) -> Iterator[Shelved]:
    """Archive what has not been archived yet, from the oldest on, until a position is in an archive.

    A file is on disk, verified and closed before it is written down.

    Args:
        connection: in autocommit; one process at a time.
        log: which log.
        upto: a position that is sealed.
        directory: where to; must exist.
        watch: called again and again; may raise to interrupt, and then no part of a file is left.

    Yields:
        each archive, once it counts.

    Raises:
        ArchiveRefusedError: the events are not those that were sealed.
        ShelfTakenError: another file has the name of an archive.
        OSError: a file cannot be written.
    """
    seals = SealTable(connection)
    through = seals.number_through(log, upto)
    while (first := _last(connection, log)[0] + 1) <= through:
        last = min(first + SEALS_EACH - 1, through)
        path = directory / f"{log.value}-{first:010}-{last:010}.jsonl.gz"
        if path.exists():  # somebody was interrupted before it was written down
            events = _adopted(seals, log, path, numbers=(first, last))
        else:
            written = archive_seals(connection, log, first=first, last=last, to=path, watch=watch)
            events = written.events if written else 0
        _on_disk(path)
        ends = [next(seals.all(log, after_number=number - 1)) for number in (first, last)]
        stretch = (ends[0].after_position, ends[1].upto_position)
        connection.execute(_ADD, (log.value, first, last, *stretch, events, path.name, file_hash(path)))
        yield Shelved(path, events, path.stat().st_size)


def file_hash(path: Path) -> bytes:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _adopted(seals: SealTable, log: Log, path: Path, *, numbers: tuple[int, int]) -> int:
    """How many events are in a file that has to be the archive of these seals."""
    found = verify_archive(path)
    if found.findings:
        raise ArchiveRefusedError(found.findings)
    known = next(seals.all(log, after_number=numbers[1] - 1), None)
    first = last = next(blocks := read_archive(path)).seal
    for block in blocks:
        last = block.seal
    if known is None or (first.number, last.number, last.hash) != (*numbers, known.hash):
        raise ShelfTakenError(f"{path} is another archive than the one to be written: move it away")
    return found.events


def _on_disk(path: Path) -> None:
    """Have the file and its name survive a crash of the machine: its events are about to be dropped."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _last(connection: Connection[Any], log: Log) -> tuple[int, int]:
    row = connection.execute(_LAST, (log.value,)).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
