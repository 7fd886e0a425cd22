"""What the commands about read models have in common: the way in to the database, and what is said where it is shut."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
import psycopg

from infra import database
from infra.settings import load_settings
from projections.catalog import PROJECTIONS
from projections.outage import DATABASE_TROUBLE

NAME: Final = click.Choice(list(PROJECTIONS))


@contextmanager
def connected(name: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own, in autocommit."""
    with told_in_one_line(name), database.connect(load_settings(), name=name) as connection:
        yield connection


@contextmanager
def told_in_one_line(name: str) -> Iterator[None]:
    """Where the database cannot answer: one line that says why, and exit status 2."""
    try:
        yield
    except DATABASE_TROUBLE as error:
        cause = getattr(error, "orig", None) or error
        reason = str(cause).strip().splitlines()[0]
        missing = isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName)
        advice = " (ledgerq migrate makes what is missing)" if missing else ""
        click.echo(f"ledgerq {name}: the database cannot answer: {reason}{advice}", err=True)
        sys.exit(2)
