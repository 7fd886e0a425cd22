"""``ledgerq license check-seats``: whether the table of held seats is what the log says."""

from __future__ import annotations

import sys
from typing import Final

import click

from infra.database import connect
from infra.database.door import told_in_one_line
from infra.event_store.seats import mend_seats, seat_differences
from infra.settings import load_settings

DIFFERENT: Final = 1
SHOWN: Final = 20


@click.command("check-seats")
@click.option("--mend", is_flag=True, help="Make the table what the log says; starts of sessions wait meanwhile.")
def command(*, mend: bool) -> None:
    """Compare who holds a seat of which license with what the log says.

    The database writes the table as it appends to the log, so they differ only where somebody wrote to either by hand.
    Reads the whole log of licensing. Exit status: 0 they agree, or were made to; 1 they differ; 2 it cannot be said.
    """
    label = "license check-seats"
    with told_in_one_line(label), connect(load_settings(), name=label) as connection:
        found = seat_differences(connection)
        mended = mend_seats(connection) if mend and found else 0
    for license_id, session_id, is_held in found[:SHOWN]:
        click.echo(
            f"{license_id}: {session_id} {'holds a seat and is missing' if is_held else 'holds none and is there'}"
        )
    if len(found) > SHOWN:
        click.echo(f"… and {len(found) - SHOWN:,} more")
    if mended:
        click.echo(f"mended: {mended:,}")
    elif found:
        click.echo(f"{len(found):,} differ; --mend makes the table what the log says")
        sys.exit(DIFFERENT)
    else:
        click.echo("the table of held seats is what the log says")
