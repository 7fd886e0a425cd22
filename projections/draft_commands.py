"""Commands that rebuild a projection beside the live one."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import click
import sqlalchemy as sa

from infra import database
from infra.database import Leadership
from infra.event_store import ArchiveMissingError, EventStore
from infra.retention.reading import archived_events
from infra.settings import Settings, load_settings
from projections import presentation
from projections.beside import Desk, Filling
from projections.catalog import PROJECTIONS
from projections.difference_output import as_values, print_compared
from projections.door import NAME, told_in_one_line
from projections.draft import (
    DraftRefusedError,
    begin_draft,
    draft_follower,
    drop_draft,
    find_draft,
    is_stale,
    required_draft,
)
from projections.process import expect_pages
from projections.rebuild import Progress
from projections.rebuild import rebuild as rebuild_in_place
from projections.rows import driver

Told = TypeVar("Told")
DIFFERENT: Final = 1
"""Exit status where live tables and draft are not the same, or something was refused."""


@click.command()
@click.argument("name", type=NAME)
@click.option("--anew", is_flag=True, help="Begin again, whatever draft there is.")
@click.option("--drop", "is_dropped", is_flag=True, help="Drop the draft instead.")
@click.option(
    "--in-place", "is_in_place", is_flag=True, help="Without a draft: replace the live rows in one transaction."
)
def rebuild(name: str, *, anew: bool, is_dropped: bool, is_in_place: bool) -> None:
    """Fill a draft of projection NAME from the log, beside the live tables.

    Those are served and kept up to date meanwhile. Interrupt it whenever you like: asked again, it goes on. Then
    compare (diff) and make it live (switch).
    """
    if sum((anew, is_dropped, is_in_place)) > 1:
        raise click.UsageError("--anew, --drop and --in-place exclude each other")
    with _work("projection rebuild", name) as (desk, connection, settings, store):
        if is_in_place:
            _rebuild_in_place(connection, name, settings, store)
        elif is_dropped:
            with connection.begin():
                drop_draft(driver(connection), desk.projection)
            click.echo(f"{name}: the draft is dropped")
        else:
            _fill(connection, desk, anew=anew)


@click.command()
@click.argument("name", type=NAME)
@click.option(
    "--show", type=click.IntRange(0, 1000), default=10, metavar="ROWS", help="Differing rows to show per table."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def diff(name: str, *, show: int, as_json: bool) -> None:
    """Compare the live tables of projection NAME with its draft, at one and the same position.

    Exit status: 0 where they are the same, 1 where they are not.
    """
    with _work("projection diff", name) as (desk, *_):
        compared = desk.compare(show=show)
    if as_json:
        click.echo(presentation.encode([as_values(table) for table in compared]))
    else:
        print_compared(compared)
    sys.exit(DIFFERENT if any(table.differing_rows for table in compared) else 0)


@click.command()
@click.argument("name", type=NAME)
@click.option(
    "--expect-differences",
    "expected",
    type=click.IntRange(min=0),
    default=0,
    metavar="ROWS",
    help="How many rows may differ, at most. Default: none.",
)
@click.option("--reason", help="Why they differ; required where any may.")
def switch(name: str, *, expected: int, reason: str | None) -> None:
    """Make the draft of projection NAME live, in one transaction; what was live is kept for rollback.

    Exit status: 1 where more rows differ than were declared; then nothing was done.
    """
    if expected and not (reason or "").strip():
        raise click.UsageError("--expect-differences needs a --reason: say why the rows differ")
    with _work("projection switch", name) as (desk, *_):
        changed = desk.switch(by=getpass.getuser(), expected=expected, reason=reason)
    click.echo(f"{name}: switched, {changed:,} rows changed; ledgerq projection rollback {name} takes it back")


@click.command()
@click.argument("name", type=NAME)
@click.option("--reason", help="Why.")
def rollback(name: str, *, reason: str | None) -> None:
    """Make live again what was live before projection NAME was switched, brought up to date."""
    with _work("projection rollback", name) as (desk, *_):
        changed = desk.roll_back(by=getpass.getuser(), reason=reason)
    click.echo(f"{name}: rolled back, {changed:,} rows changed; the rebuilt ones are its draft again")


@contextmanager
def _work(label: str, name: str) -> Iterator[tuple[Desk, sa.Connection, Settings, EventStore]]:
    """One at a time works on a projection's draft."""
    settings = load_settings()
    engine = database.engine(settings, name=label)
    url, archived = settings.database_url.get_secret_value(), archived_events(settings.archive_dir)
    try:
        with (
            told_in_one_line(label),
            EventStore(url, name=label, archived=archived) as store,
            Leadership(settings, draft_follower(name)) as leadership,
            engine.connect() as connection,
        ):
            _lead(leadership, name)
            expect_pages()
            batch = settings.projection_batch_events
            desk = Desk(connection, PROJECTIONS[name], store=store, batch_events=batch)
            yield desk, connection, settings, store
    except (DraftRefusedError, ArchiveMissingError) as refused:
        click.echo(f"ledgerq {label}: {refused}", err=True)
        sys.exit(DIFFERENT)
    finally:
        engine.dispose()


def _lead(leadership: Leadership, name: str) -> None:
    if not leadership.acquire():
        raise DraftRefusedError(f"somebody else is working on the draft of {name}: wait for it, or interrupt it")


def _fill(connection: sa.Connection, desk: Desk, *, anew: bool) -> None:
    name = desk.projection.name
    with connection.begin():
        stale = is_stale(driver(connection), desk.projection)
        if stale:
            click.echo(f"{name}: there is a draft that counts skipped events or lacks some; it is begun anew", err=True)
        if anew or stale or find_draft(driver(connection), desk.projection) is None:
            begin_draft(driver(connection), desk.projection, by=getpass.getuser())
        else:
            required_draft(driver(connection), desk.projection, state="filling")
    done = desk.fill(_now_and_then(lambda filling: click.echo(f"{name}: {_sentence(filling)}", err=True)))
    click.echo(
        f"{name}: the draft has passed {done.passed:,} positions in {done.seconds:.1f} s ({done.rate:,.0f} a second); "
        f"compare: ledgerq projection diff {name}"
    )


def _rebuild_in_place(connection: sa.Connection, name: str, settings: Settings, store: EventStore) -> None:
    began = time.monotonic()

    def tell(progress: Progress) -> None:
        share = progress.position / progress.until
        click.echo(f"{name}: {progress.log.value} {share:.0%} ({progress.position:,} of {progress.until:,})", err=True)

    batch = settings.projection_batch_events
    done = rebuild_in_place(connection, PROJECTIONS[name], store=store, batch_events=batch, tell=_now_and_then(tell))
    click.echo(f"{name}: rebuilt from {done.events:,} events in {time.monotonic() - began:.1f} s, {done.parked} parked")


def _now_and_then(tell: Callable[[Told], None]) -> Callable[[Told], None]:
    """Tell once a second, and not at every page."""
    told_at = time.monotonic()

    def told(progress: Told) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > 1:
            told_at = time.monotonic()
            tell(progress)

    return told


def _sentence(filling: Filling) -> str:
    left = filling.seconds_left
    remaining = "" if left is None else f", {presentation.duration(left)} left"
    share = filling.done / filling.total if filling.total else 1.0
    return f"{share:.0%} ({filling.done:,} of {filling.total:,}), {filling.rate:,.0f} a second{remaining}"
