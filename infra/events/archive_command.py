"""``ledgerq events archive`` and ``ledgerq events restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from infra.database.door import connected
from infra.event_store.log import Log
from infra.events.archive import ArchiveUnreadableError
from infra.events.archiving import ArchiveRefusedError, EventsDroppedError, Span, archive
from infra.events.asking import now
from infra.events.restoring import RestoreRefusedError, restore
from infra.moments import moment

_MEGABYTE: Final = 1_000_000


@click.command("archive")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--log", type=click.Choice([log.value for log in Log]), required=True, help="Which log.")
@click.option("--since", metavar="WHEN", help="Recorded then or later: 30d, or a date and time (ISO 8601; UTC).")
@click.option("--until", metavar="WHEN", help="Recorded before, likewise.")
def archive_command(file: Path, *, log: str, since: str | None, until: str | None) -> None:
    """Write sealed events of a log to FILE, as compressed JSON lines, and verify what was written.

    Whole blocks only: the first may begin a little earlier, the last may end a little before. What is not sealed yet is
    left out.
    """
    at = now()
    span = Span(moment(since, now=at, option="--since"), moment(until, now=at, option="--until"))
    try:
        with connected("events archive") as connection:
            done = archive(connection, Log(log), span, to=file)
    except ArchiveRefusedError as error:
        raise click.ClickException(f"{error}; nothing is archived: ledgerq events verify has them all") from error
    except EventsDroppedError as error:
        raise click.ClickException(f"{error}; nothing is archived") from error
    except ArchiveUnreadableError as error:
        raise click.ClickException(f"{error}; nothing is archived: the log has what no archive can hold") from error
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error}") from error
    if done is None:
        raise click.ClickException(f"nothing of log {log} is sealed in that time; nothing is written")
    size = file.stat().st_size / _MEGABYTE
    name = click.format_filename(file)  # a file may be called what is no text
    click.echo(f"{name}: {done.events:,} events of log {log} under {done.seals:,} seals, {size:,.1f} MB, verified")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore_command(file: Path) -> None:
    """Put events that the log has lost back in their places, from the archive FILE.

    What is there is never overwritten: where another event stands in a place, nothing of its block is put back.
    """
    added = 0
    try:
        with connected("events restore") as connection:
            for in_block in restore(connection, file):
                added += in_block
    except (ArchiveUnreadableError, ArchiveRefusedError, RestoreRefusedError) as error:
        raise click.ClickException(f"{error}; {added:,} events were put back before") from error
    click.echo(f"{added:,} events put back; the log and the archive agree")
