"""Rows in and out of the read models, many per statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert

Row = TypeVar("Row", bound=msgspec.Struct)
Key = tuple[Any, ...]


def load(connection: sa.Connection, table: sa.Table, shape: type[Row], keys: Collection[Key]) -> dict[Key, Row]:
    """The rows of ``table`` that have one of the primary ``keys``, as ``shape``, by key; absent rows are absent.

    The fields of ``shape`` are columns of the table, those of the primary key first.
    """
    if not keys:
        return {}
    width = len(table.primary_key.columns)
    found = connection.execute(_loading(table, shape), _arrays(keys, width))
    return {tuple(row[:width]): shape(*row) for row in found}


def upsert(connection: sa.Connection, table: sa.Table, shape: type[Row], rows: Collection[Row]) -> None:
    """Write ``rows`` in one statement; where a row of the key exists, the columns of ``shape`` are replaced."""
    if not rows:
        return
    names = shape.__struct_fields__
    connection.execute(_upserting(table, shape), _arrays((_values(row, names) for row in rows), len(names)))


def erase(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Empty ``tables`` within the caller's transaction; readers go on seeing the rows until it commits.

    A plain ``DELETE`` on purpose: ``TRUNCATE`` would make every reader wait for the end of the transaction.
    """
    for table in tables:
        connection.execute(sa.delete(table))


def unnested(columns: Iterable[sa.Column[Any]]) -> sa.TableValuedAlias:
    """A table made of one array parameter per column (``p0``, ``p1`` …), in that order, with the columns' names."""
    columns = tuple(columns)
    arrays = [sa.bindparam(f"p{number}", type_=ARRAY(column.type)) for number, column in enumerate(columns)]
    typed = [sa.column(column.name, column.type) for column in columns]
    return sa.func.unnest(*arrays).table_valued(*typed).render_derived(name="given")


def _values(row: msgspec.Struct, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple([getattr(row, name) for name in names])


def _arrays(rows: Iterable[tuple[Any, ...]], width: int) -> dict[str, list[Any]]:
    columns = list(zip(*rows, strict=True))
    return {f"p{number}": list(columns[number]) for number in range(width)}


@lru_cache
def _loading(table: sa.Table, shape: type[msgspec.Struct]) -> sa.Select[Any]:
    keys = unnested(table.primary_key.columns)
    same_key = sa.and_(*(column == keys.c[column.name] for column in table.primary_key.columns))
    return sa.select(*(table.c[name] for name in shape.__struct_fields__)).join_from(table, keys, same_key)


@lru_cache
def _upserting(table: sa.Table, shape: type[msgspec.Struct]) -> Insert:
    names = shape.__struct_fields__
    given = unnested(table.c[name] for name in names)
    statement = insert(table).from_select(names, sa.select(given))
    key = [column.name for column in table.primary_key.columns]
    replaced = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=replaced)
