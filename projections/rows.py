"""Rows in and out of the read models, many per statement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy.dialects import postgresql

from projections.literals import array_literal, copy_lines

Row = TypeVar("Row", bound=msgspec.Struct)
Key = tuple[Any, ...]

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy has it
_LOAD: Final = SQL("select {columns} from {table} as known join {given} on {same_key}")
_UPDATE: Final = SQL("update {table} as known set {changes} from {given} where {same_key}")
_COPY: Final = SQL("copy {table} ({columns}) from stdin")


def load(
    connection: sa.Connection, table: sa.Table, shape: type[Row], keys: Collection[Key]
) -> dict[Key, tuple[Any, ...]]:
    """The rows of ``table`` that have one of the primary ``keys``, as the fields of ``shape``, by key.

    The fields of ``shape`` are columns of the table, those of the primary key first.
    """
    if not keys:
        return {}
    width = len(table.primary_key.columns)
    values = [array_literal(column) for column in zip(*keys, strict=True)]
    with driver(connection).cursor(binary=True, row_factory=tuple_row) as cursor:
        found = cursor.execute(_loading(table, shape, schema_of(connection, table)), values, prepare=True).fetchall()
    return {row[:width]: row for row in found}


def insert(connection: sa.Connection, table: sa.Table, shape: type[Row], rows: Collection[Row]) -> None:
    """Write ``rows``, of whose keys the table has none, by COPY.

    Raises:
        psycopg.errors.UniqueViolation: it has one of them.
    """
    if not rows:
        return
    statement = _copying(table, shape, schema_of(connection, table))
    columns = zip(*map(_values(shape), rows), strict=True)
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(copy_lines(columns))


def update(
    connection: sa.Connection, table: sa.Table, shape: type[Row], rows: Iterable[tuple[tuple[Any, ...], Row]]
) -> None:
    """Write what has changed in rows that the table has, in one statement: the columns in which any of them differs.

    Args:
        connection: in the caller's transaction.
        table: whose rows they are.
        shape: of the rows.
        rows: each as it was loaded, and as it is now.
    """
    values = _values(shape)
    changed = [(then, now) for then, row in rows if (now := values(row)) != then]
    if not changed:
        return
    before, after = (list(zip(*side, strict=True)) for side in zip(*changed, strict=True))
    key = table.primary_key.columns
    new = {
        name: now
        for name, then, now in zip(shape.__struct_fields__, before, after, strict=True)
        if name in key or then != now
    }
    statement = _updating(table, tuple(new), schema_of(connection, table))
    with driver(connection).cursor() as cursor:
        cursor.execute(statement, [array_literal(column) for column in new.values()], prepare=True)


def erase(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Empty ``tables`` within the caller's transaction; readers go on seeing the rows until it commits.

    A plain ``DELETE`` on purpose: ``TRUNCATE`` would make every reader wait for the end of the transaction.
    """
    for table in tables:
        connection.execute(sa.delete(table))


def driver(connection: sa.Connection) -> psycopg.Connection[tuple[object, ...]]:
    """The psycopg connection under ``connection``, in the same transaction."""
    found = connection.connection.driver_connection
    if not isinstance(found, psycopg.Connection):
        raise TypeError(f"{found!r} is no connection of psycopg")
    return found


def schema_of(connection: sa.Connection, table: sa.Table) -> str:
    """The schema in which ``connection`` finds ``table``: the draft's where it works on a draft."""
    translated: dict[str | None, str] = connection.get_execution_options().get("schema_translate_map") or {}
    return translated.get(table.schema, table.schema or "public")


def type_name(column: sa.Column[Any]) -> str:
    """The column's type as SQL writes it."""
    return str(column.type.compile(_DIALECT))


def _values(shape: type[msgspec.Struct]) -> Callable[[msgspec.Struct], tuple[Any, ...]]:
    """Takes the values of all fields out of a row."""
    return attrgetter(*shape.__struct_fields__)


@lru_cache
def _loading(table: sa.Table, shape: type[msgspec.Struct], schema: str) -> bytes:
    key = [column.name for column in table.primary_key.columns]
    columns = SQL(", ").join(Identifier("known", name) for name in shape.__struct_fields__)
    return _LOAD.format(
        columns=columns, table=Identifier(schema, table.name), given=_given(table, key), same_key=_same(key)
    ).as_bytes()


@lru_cache
def _updating(table: sa.Table, names: tuple[str, ...], schema: str) -> bytes:
    key = [column.name for column in table.primary_key.columns]
    changes = SQL(", ").join(
        SQL("{} = {}").format(Identifier(name), Identifier("given", name)) for name in names if name not in key
    )
    return _UPDATE.format(
        table=Identifier(schema, table.name), changes=changes, given=_given(table, names), same_key=_same(key)
    ).as_bytes()


@lru_cache
def _copying(table: sa.Table, shape: type[msgspec.Struct], schema: str) -> bytes:
    columns = SQL(", ").join(map(Identifier, shape.__struct_fields__))
    return _COPY.format(table=Identifier(schema, table.name), columns=columns).as_bytes()


def _given(table: sa.Table, names: Iterable[str]) -> Composed:
    """A table made of one array parameter for each of the columns."""
    names = tuple(names)
    arrays = SQL(", ").join(SQL(f"%s::{type_name(table.c[name])}[]") for name in names)
    return SQL("unnest({}) as given ({})").format(arrays, SQL(", ").join(map(Identifier, names)))


def _same(key: Iterable[str]) -> Composed:
    return SQL(" and ").join(
        SQL("{} = {}").format(Identifier("known", name), Identifier("given", name)) for name in key
    )
