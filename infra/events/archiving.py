"""Archiving: writes sealed events to a file, and believes in it only once it has read it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from psycopg import Connection

from infra.event_store.log import Log
from infra.events.archive import Block, Ending, read_archive, write_archive
from infra.events.finding import Finding, Head, Verified
from infra.events.reading import LogReader
from infra.events.seal import Seal
from infra.events.seals import SealTable
from infra.events.tailing import PAGE_EVENTS
from infra.events.verifying import verify_blocks


class ArchiveRefusedError(Exception):
    """What was to be archived is not what was sealed; nothing was written."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__(f"the log does not agree with its seals: {findings[0].text} ({len(findings)} such findings)")


class EventsDroppedError(Exception):
    """Some of the events that were to be archived were dropped from the log: they are in an archive already."""


class Span(NamedTuple):
    """From which moment to which, by the time of recording; None: from the beginning, to the end."""

    since: datetime | None
    until: datetime | None


def archive(connection: Connection[Any], log: Log, span: Span, *, to: Path) -> Ending | None:
    """Write the blocks of a log that have something of a span and nothing that came after it.

    Args:
        connection: in autocommit.
        log: which log.
        span: of which time.
        to: the file; appears when it is whole and has been read again.

    Returns:
        how much was written; None: no sealed block is in the span, and there is no file.

    Raises:
        ArchiveRefusedError: the events are not those that were sealed.
        EventsDroppedError: some of them are in an archive and no longer in the log.
        OSError: the file exists or cannot be written.
    """
    return _write(log, _blocks(connection, log, span), to)


def archive_seals(
    connection: Connection[Any], log: Log, *, first: int, last: int, to: Path, watch: Callable[[], None]
) -> Ending | None:
    """Write the blocks of some seals of a log; errors as of :func:`archive`.

    Args:
        connection: in autocommit.
        log: which log.
        first: number of the first seal.
        last: number of the last one.
        to: the file; appears when it is whole and has been read again.
        watch: called at every block that is written or read again; may raise, and then there is no file.
    """
    table, reader = SealTable(connection), LogReader(connection)
    seals = takewhile(lambda seal: seal.number <= last, table.all(log, after_number=first - 1))
    return _write(log, (_block(table, reader, seal) for seal in seals), to, watch=watch)


def _write(log: Log, blocks: Iterator[Block], to: Path, *, watch: Callable[[], None] = lambda: None) -> Ending | None:
    if to.exists():
        raise FileExistsError(f"{to} exists")
    with TemporaryDirectory(prefix=".archive-", dir=to.parent) as own:  # beside the file, so that it can be moved
        part = Path(own) / to.name
        ending = write_archive(part, log, _watched(blocks, watch))
        if not ending.seals:
            return None
        if findings := verify_archive(part, watch=watch).findings:
            raise ArchiveRefusedError(findings)
        part.rename(to)
    return ending


def verify_archive(
    path: Path, *, key: bytes | None = None, heads: Sequence[Head] = (), watch: Callable[[], None] = lambda: None
) -> Verified:
    """Compute the seals of an archive again from its lines, without a database.

    Args:
        path: the file.
        key: what seals are signed with; None: signatures are not checked.
        heads: what was published once; those of other logs, and beyond the archive, are not looked for.
        watch: called at every block; may raise.

    Raises:
        ArchiveUnreadableError: it is no archive, or not a whole one.
    """
    blocks = _watched(read_archive(path), watch)
    first = next(blocks)
    each = ((block.seal, block.leaves) for block in chain((first,), blocks))
    return verify_blocks(first.seal.log, each, key=key, heads=heads, is_whole=False)


def _blocks(connection: Connection[Any], log: Log, span: Span) -> Iterator[Block]:
    seals, reader = SealTable(connection), LogReader(connection)
    begin = 0
    if span.since is not None:
        begin = reader.position_before(log, span.since, upto=reader.safe_position(log))
    has_begun = span.since is None  # once it has, there are no holes, also where clocks went back
    for seal in seals.all(log, after_number=seals.number_at(log, begin)):
        block = _block(seals, reader, seal)
        newest = max((row.recorded_at for row in block.events), default=seal.sealed_at)
        if span.until is not None and newest >= span.until:
            return
        has_begun = has_begun or (span.since is not None and newest >= span.since)
        if has_begun:
            yield block


def _watched(blocks: Iterator[Block], watch: Callable[[], None]) -> Iterator[Block]:
    for block in blocks:
        watch()
        yield block


def _block(seals: SealTable, reader: LogReader, seal: Seal) -> Block:
    found = reader.between(seal.log, seal.after_position, seal.upto_position, limit=PAGE_EVENTS[seal.log])
    events = [each.row for each in found]
    if len(events) < seal.event_count and (archive_name := seals.archive_of_dropped(seal)):
        raise EventsDroppedError(
            f"events after position {seal.after_position} of log {seal.log.value} were dropped:"
            f" they are in the archive {archive_name}"
        )
    return Block(seal, events)
