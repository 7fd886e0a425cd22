"""What the commands about events share: their options, and a connection whose faults are told in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click
import psycopg

from infra import database
from infra.database import DatabaseUnreachableError
from infra.event_store.log import Log
from infra.settings import Settings, load_settings

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
json_option: Final[Option] = click.option("--json", "as_json", is_flag=True, help="JSON lines, for programs.")
log_option: Final[Option] = click.option(
    "--log", "logs", type=click.Choice([log.value for log in Log]), multiple=True, help="This log only. Default: all."
)


def chosen(logs: tuple[str, ...]) -> list[Log]:
    """The logs that the option names; all where it names none."""
    return [log for log in Log if log.value in logs or not logs]


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)


@contextmanager
def connected(name: str, settings: Settings | None = None) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit; where the database cannot answer, one line that says why, and exit status 2."""
    try:
        with database.connect(settings or load_settings(), name=name) as connection:
            yield connection
    except (DatabaseUnreachableError, psycopg.Error) as error:
        reason = str(error).strip().splitlines()[0]
        missing = isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName)
        advice = " (ledgerq migrate makes what is missing)" if missing else ""
        click.echo(f"ledgerq {name}: the database cannot answer: {reason}{advice}", err=True)
        sys.exit(2)
