"""Columns of moments in PostgreSQL's binary form: ten thousand of them are read without parsing a text.

A moment is a number here: microseconds since 2000, as PostgreSQL counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct, pack
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

NEVER: Final = -(2**63)
"""Earlier than every moment; PostgreSQL's ``-infinity``."""
_TYPE: Final = types["timestamptz"]
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CELL_BYTES: Final = 12
_TOGETHER: Final = 250
"""So many are packed in one step; what packs them is kept for each number up to this one."""


class Moments(list[int]):
    """As a parameter, a ``timestamptz[]``."""


class _MomentsDumper(Dumper):
    """The array as ``array_recv`` and ``timestamptz_recv`` read it (src/backend/utils/adt)."""

    format = Format.BINARY
    oid = _TYPE.array_oid

    def dump(self, obj: Sequence[int]) -> bytes:
        """A header for one dimension without NULLs, then for each moment its length, 8, and its eight bytes."""
        cells = bytearray()
        for first in range(0, len(obj), _TOGETHER):
            some = obj[first : first + _TOGETHER]
            cells += _cells(len(some)).pack(*some)
        cells[3::_CELL_BYTES] = b"\x08" * len(obj)
        return pack(">iiIii", 1, 0, _TYPE.oid, len(obj), 1) + cells


def takes_moments(cursor: psycopg.Cursor[Any]) -> None:
    """Let a cursor take :class:`Moments` as parameters."""
    cursor.adapters.register_dumper(Moments, _MomentsDumper)


def microseconds(moment: datetime) -> int:
    """``moment`` as a number."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=_TOGETHER)
def _cells(count: int) -> Struct:
    """Packs so many moments, each behind four bytes of zeros; making it takes longer than using it."""
    return Struct(">" + "4xq" * count)
