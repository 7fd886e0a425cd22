"""Exporting a view of schema ``analytics``: every row as of one moment, streamed, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from projections.dictionary import Column, columns

MOMENT: Final = "timestamp with time zone"
_BETWEEN: Final = {"since": SQL("{} >= {}"), "until": SQL("{} < {}")}
_ESTIMATE: Final = SQL("explain (format json) {}")

Tell = Callable[[int], None]
"""Told how many rows have been written so far."""


class ExportRefusedError(Exception):
    """What was asked for cannot be exported; the text says why and what can."""


class Wish(NamedTuple):
    """What to export.

    Attributes:
        view: a view of schema ``analytics``, without the schema.
        where: a condition in SQL over its columns; None: all rows.
        since: rows from this moment on.
        until: rows before this moment.
        by: the column that ``since`` and ``until`` are about; None: the view's first moment.
    """

    view: str
    where: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: str | None = None


class Question(NamedTuple):
    """A wish that can be fulfilled.

    Attributes:
        columns: what a row holds, in order.
        sql: the question.
        by: the column that the moments are about, where there are any.
    """

    columns: list[Column]
    sql: Composed
    by: str | None


def question(connection: psycopg.Connection[Any], wish: Wish) -> Question:
    """What to ask the database.

    Raises:
        ExportRefusedError: there is no such view or column.
    """
    known = columns(connection)
    found = [column for column in known if column.view == wish.view]
    if not found:
        views = ", ".join(dict.fromkeys(column.view for column in known))
        raise ExportRefusedError(f"there is no view {wish.view} in schema analytics; there are {views}")
    asked = {"since": wish.since, "until": wish.until}
    by = _moment_column(found, wish) if any(asked.values()) or wish.by else None
    conditions: list[Composable] = [
        _BETWEEN[side].format(Identifier(by), Literal(moment)) for side, moment in asked.items() if by and moment
    ]
    if wish.where:
        # The asker's own SQL, in a transaction that only reads.
        conditions.append(SQL("({}\n)").format(SQL(wish.where)))
    sql = SQL("select {} from {}").format(
        SQL(", ").join(Identifier(column.name) for column in found), Identifier("analytics", wish.view)
    )
    if conditions:
        sql = SQL("{} where {}").format(sql, SQL(" and ").join(conditions))
    return Question(found, sql, by)


@contextmanager
def one_moment(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction that sees everything as of one moment, in UTC, and cannot write."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("set local timezone = 'UTC'")
        yield


def estimate(connection: psycopg.Connection[Any], asked: Question) -> int:
    """About how many rows there are, as the planner guesses.

    Raises:
        ExportRefusedError: the condition is none.
    """
    try:
        # Prepared, so that the server takes one statement only: a condition cannot end the transaction.
        ((plan,),) = connection.execute(_ESTIMATE.format(asked.sql), prepare=True).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise  # says nothing about the condition
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        raise ExportRefusedError(f"the condition is none: {str(error).splitlines()[0]}") from error
    return int(plan[0]["Plan"]["Plan Rows"])


def write_csv(connection: psycopg.Connection[Any], asked: Question, file: BinaryIO, *, tell: Tell) -> int:
    """Write rows as CSV (RFC 4180, UTF-8) with a line of names; empty is no value, ``""`` an empty text.

    Returns:
        how many rows were written.
    """
    written = -1  # the line of names
    statement = SQL("copy ({}) to stdout with (format csv, header)").format(asked.sql)
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for line in copy:
                file.write(line)
                written += 1
                tell(max(0, written))
        return cursor.rowcount


def pages(connection: psycopg.Connection[Any], asked: Question, *, rows: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The answer in pieces of so many rows."""
    with connection.cursor(name="ledgerq_export") as cursor:
        cursor.execute(asked.sql)
        while page := cursor.fetchmany(rows):
            yield page


def _moment_column(found: list[Column], wish: Wish) -> str:
    moments = [column.name for column in found if column.type == MOMENT]
    if not moments:
        raise ExportRefusedError(f"{wish.view} has no column with a moment: leave out --since, --until and --by")
    if wish.by is not None and wish.by not in moments:
        raise ExportRefusedError(f"{wish.view} has no moment {wish.by}; it has {', '.join(moments)}")
    return wish.by or moments[0]
