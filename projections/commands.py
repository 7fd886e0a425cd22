"""Commands about read models."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
import psycopg
from rich.console import Console

from infra import database
from infra.event_store import EventStore
from infra.settings import load_settings
from projections import dictionary, presentation, process
from projections.catalog import PROJECTIONS
from projections.outage import DATABASE_TROUBLE
from projections.questions import LAG
from projections.rebuild import Progress, rebuild
from projections.report import ask, make_report

NAME = click.Choice(list(PROJECTIONS))


@click.command()
@click.option("--only", "only", type=NAME, multiple=True, help="Keep this one only; may be given again. Default: all.")
def projector(only: tuple[str, ...]) -> None:
    """Keep the read models up to date, until SIGTERM; the batch in hand is finished first.

    Start a second one for standby: for each projection one leads and the other waits.
    """
    process.run(only)


@click.group()
def projection() -> None:
    """List projections, their lag; rebuild one."""


@projection.command("list")
def list_() -> None:
    """Which projections there are, and what they answer."""
    answer = [
        {
            "projection": each.name,
            "answers": each.question,
            "follows": ", ".join(log.value for log in each.follows),
            "tables": ", ".join(table.fullname for table in each.tables),
        }
        for each in PROJECTIONS.values()
    ]
    presentation.print_answer(answer, Console())


@projection.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def lag(*, as_json: bool) -> None:
    """How far each projection is behind the logs it follows."""
    with _connected("projection lag") as connection:
        answer = ask(connection, LAG)
    if as_json:
        click.echo(presentation.encode(answer))
    else:
        presentation.print_answer(answer, Console())


@projection.command("dictionary")
def dictionary_() -> None:
    """The dictionary of the analytics views (docs/reference/analytics.md)."""
    with _connected("projection dictionary") as connection:
        click.echo(dictionary.page(connection), nl=False)


@projection.command("rebuild")
@click.argument("name", type=NAME)
def rebuild_(name: str) -> None:
    """Empty the tables of projection NAME and build them again from the log.

    In one transaction: readers see the old rows until the new ones are complete. A running projector waits meanwhile.
    """
    settings, label = load_settings(), "projection rebuild"
    began = time.monotonic()
    engine = database.engine(settings, name=label)
    with (
        _told_in_one_line(label),
        EventStore(settings.database_url.get_secret_value(), name=label) as store,
        engine.connect() as connection,
    ):
        batch = settings.projection_batch_events
        done = rebuild(connection, PROJECTIONS[name], store=store, batch_events=batch, tell=_Teller(name))
    engine.dispose()
    click.echo(f"{name}: rebuilt from {done.events:,} events in {time.monotonic() - began:.1f} s, {done.parked} parked")


@click.command()
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait, at most, for the tasks accepted by now to end.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def report(*, seconds: float, as_json: bool) -> None:
    """Report from the analytics views; does it balance?

    Of tasks, those accepted by now count. Exit status: 0 when each of them has one recorded end, 1 when not, 2 when the
    database cannot answer.
    """
    with _connected("report") as connection:
        found = make_report(connection, wait=timedelta(seconds=seconds))
    if as_json:
        click.echo(presentation.encode(found.as_values()))
    else:
        presentation.print_report(found, Console())
    sys.exit(0 if found.conservation.is_balanced else 1)


@contextmanager
def _connected(name: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own, in autocommit."""
    with _told_in_one_line(name), database.connect(load_settings(), name=name) as connection:
        yield connection


@contextmanager
def _told_in_one_line(name: str) -> Iterator[None]:
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


class _Teller:
    """Tells of a rebuild's progress now and then, on standard error."""

    INTERVAL_SECONDS = 1.0

    def __init__(self, name: str) -> None:
        self._name = name
        self._told_at = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._told_at > self.INTERVAL_SECONDS:
            self._told_at = time.monotonic()
            share = progress.position / progress.until
            click.echo(
                f"{self._name}: {progress.log.value} {share:.0%} ({progress.position:,} of {progress.until:,})",
                err=True,
            )
