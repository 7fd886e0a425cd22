"""Exchanging the rows that differ between the live tables of a projection and its draft.

In the caller's transaction: whoever asks sees the old rows until it commits and the new ones afterwards, in every
table at once and in every isolation level. Nothing that stands on the tables (views, indexes, privileges, statistics)
notices, because the tables stay; and nobody who reads is waited for. See docs/adr/0011-drafts.md.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from projections.comparable import Comparable, comparables
from projections.draft import DRAFT_SCHEMA
from projections.projection import Projection
from projections.tables import SCHEMA

_TAKE: Final = SQL("""
    create temporary table {taken} on commit drop as
    select {side}.* from {mine} {side} left join {theirs} {other} on {same_key}
    where {which} and ({missing} or {differs})
""")
_DELETE: Final = SQL("delete from {table} t using {taken} taken where {same_key}")
_INSERT: Final = SQL("insert into {table} ({columns}) select {columns} from {taken}")
_COUNT: Final = SQL("select count(*) from (select {key} from {live} union select {key} from {draft}) keys")
_SCHEMAS: Final = {"live": SCHEMA, "draft": DRAFT_SCHEMA}


def exchange(connection: psycopg.Connection[Any], projection: Projection) -> int:
    """Give the draft the live rows that differ from its own, and the live tables those of the draft.

    Args:
        connection: in a transaction in which neither side can change: the caller holds both checkpoints.
        projection: whose.

    Returns:
        how many rows were put or replaced in the live tables, or taken out of them.
    """
    return sum(_exchange(connection, each) for each in comparables(projection))


def _exchange(connection: psycopg.Connection[Any], what: Comparable) -> int:
    _take(connection, what, side="live", other="draft")
    _take(connection, what, side="draft", other="live")
    same_key = SQL(" and ").join(
        SQL("{} = {}").format(Identifier("t", name), Identifier("taken", name)) for name in what.key
    )
    columns = SQL(", ").join(map(Identifier, what.stored))
    for own, others in (("live", "draft"), ("draft", "live")):
        table = what.in_schema(_SCHEMAS[own])
        connection.execute(_DELETE.format(table=table, taken=_taken(what, own), same_key=same_key))
        connection.execute(_INSERT.format(table=table, columns=columns, taken=_taken(what, others)))
    key = SQL(", ").join(map(Identifier, what.key))
    ((count,),) = connection.execute(
        _COUNT.format(key=key, live=_taken(what, "live"), draft=_taken(what, "draft"))
    ).fetchall()
    return int(count)


def _take(connection: psycopg.Connection[Any], what: Comparable, *, side: str, other: str) -> None:
    """Copy the rows of one side that the other one has not, or has otherwise, into a temporary table."""
    connection.execute(
        _TAKE.format(
            taken=_taken(what, side),
            side=Identifier(side),
            other=Identifier(other),
            mine=what.in_schema(_SCHEMAS[side]),
            theirs=what.in_schema(_SCHEMAS[other]),
            same_key=what.same_key,
            which=what.which(side),
            missing=SQL("{} is null").format(Identifier(other, what.key[0])),
            differs=what.differs,
        )
    )


def _taken(what: Comparable, side: str) -> Identifier:
    return Identifier("pg_temp", f"{side}_{what.table.name}")
