"""Keeping the planner to indexes, for statements that touch a few thousand rows of a table of any size.

How many rows come in an array is more than the planner dares to look up one by one: up to a few million rows it would
rather read the whole table, for every page of a log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

_OTHER_WAYS: Final = ("hashjoin", "mergejoin", "seqscan", "bitmapscan")
_ONLY_INDEXES: Final = "; ".join(f"set local enable_{way} = off" for way in _OTHER_WAYS)
_ANY_WAY: Final = "; ".join(f"set local enable_{way} to default" for way in _OTHER_WAYS)


@contextmanager
def by_index(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Statements planned within go by an index where there is one; in the caller's transaction.

    What fails is rolled back by the caller, to a savepoint or wholly, and so are the planner's settings.
    """
    connection.execute(_ONLY_INDEXES.encode())
    yield
    connection.execute(_ANY_WAY.encode())
