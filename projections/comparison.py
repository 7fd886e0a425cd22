"""Comparing the live tables of a projection with its draft: row counts, a hash per bucket, and the rows that differ."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.sql import SQL, Composable, Identifier

from projections.comparable import Comparable, comparables
from projections.draft import DRAFT_SCHEMA
from projections.projection import Projection
from projections.tables import SCHEMA

BUCKETS: Final = 64
"""Into so many parts the rows of a table fall, by a hash of their key."""
SHOWN_CHARACTERS: Final = 200
"""How much is shown of a value."""

_HERE: Final = Path(__file__).parent
_COMPARED: Final = (_HERE / "comparison_buckets.sql").read_text(encoding="utf-8")
_JOINED: Final = (_HERE / "comparison_rows.sql").read_text(encoding="utf-8")
_COUNT: Final = SQL("select count(*) {joined}")
_ROWS: Final = SQL(
    "select {keys}, to_jsonb(live) as live, to_jsonb(draft) as draft {joined} order by {order} limit %(limit)s"
)


class Difference(NamedTuple):
    """A row that is not the same, or missing on one side.

    Attributes:
        table: in which.
        key: values of its primary key.
        columns: what differs: name, live value, value in the draft. Empty where the row is missing on one side.
        only_in: ``live`` or ``draft`` where it is missing in the other.
    """

    table: str
    key: tuple[str, ...]
    columns: list[tuple[str, str, str]]
    only_in: str | None


class Compared(NamedTuple):
    """What came out of comparing one table.

    Attributes:
        table: its name.
        live_rows: how many rows are live.
        draft_rows: how many the draft has.
        differing_buckets: those of :data:`BUCKETS` whose hashes are not the same.
        differing_rows: how many rows are not the same, or missing on one side.
        shown: some of them, in order of their key.
    """

    table: str
    live_rows: int
    draft_rows: int
    differing_buckets: list[int]
    differing_rows: int
    shown: list[Difference]


class _Buckets(NamedTuple):
    live_rows: int
    draft_rows: int
    differing: list[int]


def compare(connection: psycopg.Connection[Any], projection: Projection, *, show: int = 0) -> list[Compared]:
    """Compare every table of ``projection`` with its draft, as one transaction of the caller's sees both.

    Args:
        connection: in a transaction in which live tables and draft stand at the same positions.
        projection: whose.
        show: how many differing rows of each table to bring along, at most.
    """
    return [_compare(connection, each, show=show) for each in comparables(projection)]


def _compare(connection: psycopg.Connection[Any], what: Comparable, *, show: int) -> Compared:
    with connection.cursor(row_factory=class_row(_Buckets)) as cursor:
        (found,) = cursor.execute(SQL(_COMPARED).format(**_places(what))).fetchall()
    differing, shown = 0, []
    if found.differing:
        values = {"buckets": found.differing, "limit": show}
        joined = SQL(_JOINED).format(**_places(what), same_key=what.same_key, differs=what.differs)
        ((differing,),) = connection.execute(_COUNT.format(joined=joined), values).fetchall()
        shown = _differences(connection, what, joined, values) if show else []
    return Compared(what.name, found.live_rows, found.draft_rows, sorted(found.differing), differing, shown)


def _places(what: Comparable) -> dict[str, Composable | int]:
    """What the statements name."""
    return {
        "live": what.in_schema(SCHEMA),
        "draft": what.in_schema(DRAFT_SCHEMA),
        "which": what.which("t"),
        "key": _text(what.key),
        "whole": _text(what.compared),
        "buckets": BUCKETS,
    }


def _text(names: Iterable[str]) -> Composable:
    """Columns of a row as one text."""
    return SQL("row({})::text").format(SQL(", ").join(Identifier("t", name) for name in names))


def _differences(
    connection: psycopg.Connection[Any], what: Comparable, joined: Composable, values: dict[str, Any]
) -> list[Difference]:
    keys = [SQL("coalesce({}, {})").format(Identifier("live", name), Identifier("draft", name)) for name in what.key]
    named = SQL(", ").join(SQL("{} as {}").format(key, Identifier(f"key_{n}")) for n, key in enumerate(keys))
    query = _ROWS.format(keys=named, joined=joined, order=SQL(", ").join(keys))
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, values).fetchall()
    return [_difference(what, row) for row in rows]


def _difference(what: Comparable, row: dict[str, Any]) -> Difference:
    live, draft = row["live"], row["draft"]
    only_in = "live" if draft is None else "draft" if live is None else None
    columns = [
        (name, _shown(live[name]), _shown(draft[name]))
        for name in what.compared
        if only_in is None and live[name] != draft[name]
    ]
    key = tuple(str(row[f"key_{number}"]) for number in range(len(what.key)))
    return Difference(what.name, key, columns, only_in)


def _shown(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
