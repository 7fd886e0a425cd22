"""What a page's query asks for, read leniently: who shares a URL should not be met by an error for an empty field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from infra.moments import SECONDS
from infra.web.problem import Problem

PATIENCE_MS: Final = 5_000
"""How long one question may take before it is given up."""
Rows = list[dict[str, Any]]


def text(given: Mapping[str, str], name: str) -> str | None:
    """A text; None where the field is absent or empty."""
    return given.get(name, "").strip() or None


def chosen(given: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    """One of several.

    Raises:
        Problem: it is none of them.
    """
    value = text(given, name)
    if value is not None and value not in allowed:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} {value!r}; allowed are {', '.join(allowed)}")
    return value


def moment(given: Mapping[str, str], name: str) -> datetime | None:
    """A moment: ISO 8601 (UTC unless it says otherwise), or so long ago: ``30m``, ``2h``, ``7d``.

    Raises:
        Problem: it is none.
    """
    value = text(given, name)
    if value is None:
        return None
    try:
        if value[-1] in SECONDS and value[:-1].isdecimal():
            ago = int(value[:-1]) * SECONDS[value[-1]]
            return datetime.fromtimestamp(datetime.now(UTC).timestamp() - ago, UTC)
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        said = f"{name} {value!r} is no time; allowed are 30m, 2h, 7d ago, or a date and time as 2031-07-01T09:00"
        raise Problem(HTTPStatus.BAD_REQUEST, said) from error


def whole(given: Mapping[str, str], name: str) -> int | None:
    """A number from 0.

    Raises:
        Problem: it is none.
    """
    value = text(given, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):  # noqa: PLR2004  fits 64 bits
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} {value!r} is no number from 0")
    return int(value)


def ask(connection: psycopg.Connection[Any], statement: str | sql.Composed, values: Mapping[str, Any]) -> Rows:
    """Rows, by column; at most for a while.

    Raises:
        Problem: it takes too long.
    """
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select set_config('statement_timeout', %s, true)", (str(PATIENCE_MS),))
            told = statement.encode() if isinstance(statement, str) else statement
            # Planned for these values: a plan for any task reads all runs, the latest first, to find that one has none.
            return cursor.execute(told, values, prepare=False).fetchall()
    except psycopg.errors.QueryCanceled as error:
        said = f"that takes longer than {PATIENCE_MS / 1000:g} s; ask for less, as by a shorter time"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, said) from error
