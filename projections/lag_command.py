"""``ledgerq projection lag``."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any, Final, NamedTuple

import click
import psycopg
from rich.console import Console

from infra.database.door import connected
from infra.event_store import Log
from infra.settings import load_settings
from projections import presentation
from projections.catalog import PROJECTIONS
from projections.door import NAME
from projections.lag import StillBehindError, wait_for
from projections.lag import lag as find_lag

STILL_BEHIND: Final = 1
"""Exit status where a projection has not come to the position that was waited for."""


class Place(NamedTuple):
    """A position in a log."""

    log: Log
    position: int


class PlaceParameter(click.ParamType[Place]):
    """A place as ``LOG:POSITION``."""

    name = "place"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Read it, or say what is allowed."""
        log, colon, position = str(value).partition(":")
        if not (colon and log in set(Log) and position.isdecimal()):
            self.fail(f"{value!r} is no LOG:POSITION; the logs are {', '.join(Log)}, for example tasks:42", param, ctx)
        return Place(Log(log), int(position))


@click.command()
@click.option("--wait", "place", type=PlaceParameter(), metavar="LOG:POSITION", help="First wait for this position.")
@click.option("--only", "only", type=NAME, multiple=True, help="With --wait: for this one; may be given again.")
@click.option(
    "--within", "seconds", type=click.FloatRange(min=0), default=10.0, metavar="SECONDS", help="How long. Default: 10."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def lag(*, place: Place | None, only: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """How far each projection is behind the logs it follows, in events and seconds, and whether anything comes in.

    Exit status: 1 where --wait was in vain.
    """
    if only and place is None:
        raise click.UsageError("--only says which projections to --wait for, and there is no --wait")
    interval = timedelta(seconds=load_settings().watermark_interval_seconds)
    with connected("projection lag") as connection:
        if place is not None:
            _wait(connection, place, only, within=timedelta(seconds=seconds))
        answer = find_lag(connection, marker_interval=interval)
    if as_json:
        click.echo(presentation.encode(answer))
    else:
        presentation.print_answer(answer, Console())
    if any(row["source"] == "stands still" for row in answer):
        click.echo(
            "the source stands still: ingest's marker has not come through; see queue ingest, and whether ingest runs",
            err=True,
        )


def _wait(connection: psycopg.Connection[Any], place: Place, only: tuple[str, ...], *, within: timedelta) -> None:
    deadline = time.monotonic() + within.total_seconds()
    names = only or [each.name for each in PROJECTIONS.values() if place.log in each.follows]
    for name in names:
        left = timedelta(seconds=max(0.0, deadline - time.monotonic()))
        try:
            wait_for(connection, PROJECTIONS[name], place.log, place.position, within=left)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except StillBehindError as behind:
            click.echo(f"ledgerq projection lag: {behind}", err=True)
            sys.exit(STILL_BEHIND)
