"""Restoring: puts events that a log has lost back in their places, from an archive. It adds and never overwrites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from infra.event_store.log_table import SCHEMA
from infra.events.archive import Block, read_archive
from infra.events.archiving import ArchiveRefusedError, verify_archive
from infra.events.seal import Seal
from infra.events.seals import SealTable

_ADD: Final = """
    insert into {table} (position, stream_id, version, name, data, metadata, event_id, occurred_at, recorded_at)
    overriding system value
    select p, s, v, n, d::jsonb, m::jsonb, e, o, r
    from unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::uuid[],
        %s::timestamptz[], %s::timestamptz[]) as lost (p, s, v, n, d, m, e, o, r)
    where not exists (select from {table} as there where there.position = lost.p)  -- a log in parts has no constraint
    on conflict do nothing
"""
_ADVICE: Final = "what is missing comes from a backup of the database; until then --archive shows the events"


class RestoreRefusedError(Exception):
    """What is in the log stands in the way; the block was left as it was."""


def restore(connection: Connection[Any], path: Path) -> Iterator[int]:
    """Put back what the log has lost of an archive, block by block.

    Args:
        connection: in autocommit.
        path: the archive; verified before anything is written.

    Yields:
        for each block, how many events were put back.

    Raises:
        ArchiveUnreadableError: it is no archive, or not a whole one.
        ArchiveRefusedError: its events are not those that were sealed.
        RestoreRefusedError: the log has not the archive's seals, or has other events in its places.
    """
    if findings := verify_archive(path).findings:
        raise ArchiveRefusedError(findings)
    for block in read_archive(path):
        with connection.transaction():
            yield _restore(connection, block)


def _restore(connection: Connection[Any], block: Block) -> int:
    seal, seals = block.seal, SealTable(connection)
    known = next(seals.all(seal.log, after_number=seal.number - 1), None)
    if known is None or known.hash != seal.hash:
        raise RestoreRefusedError(_why_unknown(seals, seal, known))
    columns = [list(column) for column in zip(*block.events, strict=True)]
    query = SQL(_ADD).format(table=Identifier(SCHEMA, seal.log.table))
    added = connection.execute(query, columns).rowcount
    if not seal.agrees_with(seals.leaves(seal.log, after=seal.after_position, upto=seal.upto_position)):
        raise RestoreRefusedError(
            f"log {seal.log.value} has other events after position {seal.after_position} up to {seal.upto_position}:"
            " ledgerq events verify names them"
        )
    return added


def _why_unknown(seals: SealTable, seal: Seal, known: Seal | None) -> str:
    """Why a log does not bear out a seal of an archive, having ``known`` in its place, or as the next one."""
    log, last = seal.log.value, seals.last(seal.log)
    if last is None:
        return f"log {log} has no seals, which say where events belong; {_ADVICE}"
    if last.number < seal.number - 1:
        return (
            f"the seals of log {log} end with seal {last.number}, before the archive's first, {seal.number}; {_ADVICE}"
        )
    before = next(seals.all(seal.log, after_number=seal.number - 2), None)
    if before is None or before.hash != seal.previous:
        return f"log {log} has no such seal {seal.number}: the archive is of another log"
    if known is None:
        what = f"where its seals end: seal {seal.number} and those behind it are gone too"
    elif known.number != seal.number:
        what = f"but seal {seal.number} is gone from its midst"
    else:
        what = f"but has another seal {seal.number}: what is behind was changed and sealed anew"
    agrees = f"log {log} agrees with the archive up to seal {before.number} (position {before.upto_position})"
    return f"{agrees}, {what}; {_ADVICE}"
