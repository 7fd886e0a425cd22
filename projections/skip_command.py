"""``ledgerq events skip``: beside the commands that read the logs, but it is projections that pass over the event."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import click

from infra.event_store import EventStore
from infra.settings import load_settings
from infra.words import WORDS
from projections.catalog import PROJECTIONS
from projections.door import told_in_one_line
from projections.skipping import SkipRefusedError, skip

REFUSED: Final = 1


@click.command("skip")
@click.argument("event_id", type=click.UUID, metavar="ID")
@click.option("--reason", type=WORDS, required=True, help="Why; it is kept for auditors.")
def command(event_id: UUID, reason: str) -> None:
    """Let projections pass over the event of this ID (column event_id of its log); the event stays where it is.

    Read models that have counted it go on doing so until they are rebuilt; drafts that have are begun anew.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why, for whoever audits it")
    label = "events skip"
    settings = load_settings()
    with (
        told_in_one_line(label),
        EventStore(settings.database_url.get_secret_value(), name=label) as store,
    ):
        now = datetime.now(UTC)
        try:
            done = skip(store, list(PROJECTIONS.values()), event_id, reason=reason, by=getpass.getuser(), at=now)
        except SkipRefusedError as refused:
            click.echo(f"ledgerq {label}: {refused}", err=True)
            sys.exit(REFUSED)
    click.echo(f"{done.name} at {done.position:,} of {done.log.value} is skipped")
    if done.parked_by:
        click.echo(f"no longer parked by {', '.join(done.parked_by)}")
    for name in done.counted_by:
        click.echo(f"{name} has counted it: ledgerq projection rebuild {name}, then diff and switch")
    for name in done.drafts:
        click.echo(
            f"the draft of {name} has counted it: it is neither switched in nor rolled back to any more; "
            f"ledgerq projection rebuild {name} begins it anew"
        )
