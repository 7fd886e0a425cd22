"""``ledgerq export``: a view of schema ``analytics`` into a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.database.door import connected
from infra.moments import moment
from projections.export import (
    ExportRefusedError,
    Question,
    Tell,
    Wish,
    estimate,
    one_moment,
    pages,
    question,
    write_csv,
)
from projections.parquet import ROWS_PER_GROUP, ParquetFile, ParquetMissingError

FORMATS: Final = ("csv", "parquet")
STDOUT: Final = "-"
_TOLD_EVERY_SECONDS: Final = 5.0
_TOLD_EVERY_ROWS: Final = 1_000


@click.command()
@click.argument("view")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Default: by the file's name; else csv.")
@click.option("--out", "out", required=True, metavar="FILE", help="Where to; - is standard output (csv only).")
@click.option("--where", "where", metavar="SQL", help="Only rows for which this holds: \"state = 'lapsed'\".")
@click.option("--since", "since", metavar="WHEN", help="Only rows from then on: 7d, 2h, or ISO 8601 (UTC).")
@click.option("--until", "until", metavar="WHEN", help="Only rows before then.")
@click.option(
    "--by", "by", metavar="COLUMN", help="The column that --since and --until mean. Default: its first moment."
)
@click.option("--force", is_flag=True, help="Replace FILE if there is one.")
def export(
    *, view: str, format_: str | None, out: str, force: bool, where: str | None, by: str | None, **asked: str | None
) -> None:
    """Export VIEW of schema analytics (docs/reference/analytics.md), all rows as of one moment.

    FILE is there when all of it is: until then it is called FILE.part.
    """
    chosen = format_ or ("parquet" if out.endswith(".parquet") else "csv")
    _check_place(out, chosen, force=force)
    now = datetime.now(UTC)
    moments = {side: moment(asked[side], now=now, option=f"--{side}") for side in ("since", "until")}
    wish = Wish(view.removeprefix("analytics."), where=where, by=by, **moments)
    try:
        with connected("export") as connection, one_moment(connection):
            asking = question(connection, wish)
            with _telling(wish.view, estimate(connection, asking)) as tell, _opened(out) as file:
                rows = _write(connection, asking, file, chosen, tell=tell)
    except (ExportRefusedError, ParquetMissingError) as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        raise  # who reads has enough: click ends quietly
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror or error}") from error
    span = f" by {asking.by}" if asking.by else ""
    click.echo(f"{rows:,} rows of {wish.view}{span} in {out}", err=True)


def _write(connection: psycopg.Connection[Any], asked: Question, file: BinaryIO, format_: str, *, tell: Tell) -> int:
    if format_ == "csv":
        return write_csv(connection, asked, file, tell=tell)
    written = 0
    with ParquetFile(file, asked.columns) as parquet:
        for written in parquet.write(pages(connection, asked, rows=ROWS_PER_GROUP)):
            tell(written)
    return written


def _check_place(out: str, format_: str, *, force: bool) -> None:
    if out == STDOUT:
        if format_ != "csv":
            raise click.UsageError("Parquet needs a file: its foot says where in it everything is")
        return
    if Path(out).exists() and not force:
        raise click.ClickException(f"{out} is there already; --force replaces it")


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    """The file under its own name only when it is whole."""
    if out == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{out}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _telling(view: str, about: int) -> Iterator[Tell]:
    """A bar on a terminal; elsewhere a line now and then; both on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(view, about)
        return
    columns = (TextColumn(view), BarColumn(), MofNCompleteColumn(), TextColumn("rows (about)"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(view, total=about)

        def tell(written: int) -> None:
            if written % _TOLD_EVERY_ROWS == 0:
                progress.update(task, completed=written, total=max(about, written))

        yield tell


def _lines(view: str, about: int) -> Tell:
    due = time.monotonic() + _TOLD_EVERY_SECONDS

    def tell(written: int) -> None:
        nonlocal due
        if time.monotonic() > due:
            click.echo(f"{view}: {written:,} of about {about:,} rows", err=True)
            due = time.monotonic() + _TOLD_EVERY_SECONDS

    return tell
