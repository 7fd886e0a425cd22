"""The way in to the database for commands, and what is said where it is shut."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg

from infra.database.connections import connect
from infra.database.errors import DatabaseUnreachableError
from infra.settings import Settings, load_settings


@contextmanager
def connected(name: str, settings: Settings | None = None) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the command's own, in autocommit, under :func:`told_in_one_line`."""
    with told_in_one_line(name), connect(settings or load_settings(), name=name) as connection:
        yield connection


@contextmanager
def told_in_one_line(
    name: str, *, troubles: tuple[type[Exception], ...] = (DatabaseUnreachableError, psycopg.Error)
) -> Iterator[None]:
    """Where the database cannot answer: one line that says why, and exit status 2.

    Args:
        name: the command, without ``ledgerq``.
        troubles: what is raised where it cannot; SQLAlchemy's, too, for whoever works through that.
    """
    try:
        yield
    except troubles as error:
        told = getattr(error, "orig", None) or error  # SQLAlchemy wraps what psycopg raised
        missing = isinstance(told.__cause__ or told, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName)
        advice = " (ledgerq migrate makes what is missing)" if missing else ""
        reason = str(told).strip().splitlines()[0]
        click.echo(f"ledgerq {name}: the database cannot answer: {reason}{advice}", err=True)
        sys.exit(2)
