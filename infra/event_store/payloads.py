"""Payloads: values of runs that are too long for the log, kept beside it for a time."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection

ZLIB: Final = "zlib"
IDENTITY: Final = "identity"
_LEVEL: Final = 1
"""Of zlib: JSON shrinks to a third or less at 1 already, and it is done where all messages pass."""
_KEEP: Final = "insert into results.payloads (run_id, encoding, body) values (%s, %s, %s) on conflict do nothing"
_FIND: Final = "select encoding, body from results.payloads where run_id = %s"
_DROP: Final = """
    delete from results.payloads where run_id in (
        select run_id from results.payloads where stored_at < clock_timestamp() - %s order by stored_at limit %s)
"""
DROPPED_AT_ONCE: Final = 2_000
"""Values that one statement drops, at most: a scheduler that drops a million fires nothing meanwhile."""


class Payload(NamedTuple):
    """A value.

    Attributes:
        run_id: the run that returned it.
        body: its JSON text in UTF-8.
    """

    run_id: str
    body: bytes


def keep(connection: Connection[Any], payloads: Sequence[Payload], *, is_compressed: bool) -> None:
    """Keep values, in the transaction that records that their runs succeeded; one that is kept already stays."""
    rows = [
        (each.run_id, ZLIB if is_compressed else IDENTITY, _packed(each.body) if is_compressed else each.body)
        for each in payloads
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_KEEP, rows)


def kept(connection: Connection[Any], run_id: str) -> bytes | None:
    """The value of a run, where it is kept beside the log."""
    row = connection.execute(_FIND, [run_id]).fetchone()
    return None if row is None else unpacked(row[0], row[1])


def unpacked(encoding: str, body: bytes) -> bytes:
    """The value as :func:`keep` was given it.

    Raises:
        ValueError: a later version of Ledgerq has packed it in a way that this one does not know.
    """
    if encoding == IDENTITY:
        return body
    if encoding == ZLIB:
        return zlib.decompress(body)
    raise ValueError(f"a payload is encoded as {encoding!r}; this version knows {IDENTITY!r} and {ZLIB!r}")


def drop_payloads(connection: Connection[Any], *, kept_for: timedelta) -> int:
    """Drop values whose time is up, :data:`DROPPED_AT_ONCE` at most; how many those were."""
    return connection.execute(_DROP, [kept_for, DROPPED_AT_ONCE]).rowcount


def _packed(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL)
