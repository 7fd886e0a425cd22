"""``ledgerq events skip`` and ``unskip``: beside the commands that read the logs; projections do the skipping."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

import click

from infra.event_store import EventStore
from infra.settings import load_settings
from infra.words import WORDS
from projections.catalog import PROJECTIONS
from projections.door import told_in_one_line
from projections.skip_decisions import SkipRefusedError
from projections.skipping import skip as record_skip
from projections.unskipping import unskip as record_unskip

REFUSED: Final = 1

Done = TypeVar("Done")


@click.command("skip")
@click.argument("event_id", type=click.UUID, metavar="ID")
@click.option("--reason", type=WORDS, required=True, help="Why; it is kept for auditors.")
def skip(event_id: UUID, reason: str) -> None:
    """Let projections pass over the event of this ID (column event_id of its log); the event stays where it is.

    Read models that have counted it go on doing so until they are rebuilt; drafts that have are begun anew.
    """
    done = _decide("events skip", record_skip, event_id, reason)
    click.echo(f"{done.name} at {done.position:,} of {done.log.value} is skipped")
    if done.parked_by:
        click.echo(f"no longer parked by {', '.join(done.parked_by)}")
    for name in done.counted_by:
        click.echo(f"{name} has counted it: ledgerq projection rebuild {name}, then diff and switch")
    for name in done.drafts:
        click.echo(_ADVICE.format(name=name, has="counted it"))


@click.command("unskip")
@click.argument("event_id", type=click.UUID, metavar="ID")
@click.option("--reason", type=WORDS, required=True, help="Why; it is kept for auditors.")
def unskip(event_id: UUID, reason: str) -> None:
    """Let projections count the event of this ID again, which somebody has skipped.

    Read models that have passed over it lack it until they are rebuilt; drafts that have are begun anew.
    """
    done = _decide("events unskip", record_unskip, event_id, reason)
    click.echo(f"{done.name} at {done.position:,} of {done.log.value} is no longer skipped")
    if done.counted_by:
        click.echo(f"counted all the while by {', '.join(done.counted_by)}")
    for name in done.missed_by:
        click.echo(f"{name} has passed over it: ledgerq projection rebuild {name}, then diff and switch")
    for name in done.drafts:
        click.echo(_ADVICE.format(name=name, has="passed over it"))


_ADVICE: Final = (
    "the draft of {name} has {has}: it is neither switched in nor rolled back to any more; "
    "ledgerq projection rebuild {name} begins it anew"
)


def _decide(label: str, decide: Callable[..., Done], event_id: UUID, reason: str) -> Done:
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why, for whoever audits it")
    settings = load_settings()
    with (
        told_in_one_line(label),
        EventStore(settings.database_url.get_secret_value(), name=label) as store,
    ):
        try:
            projections = list(PROJECTIONS.values())
            return decide(store, projections, event_id, reason=reason, by=getpass.getuser(), at=datetime.now(UTC))
        except SkipRefusedError as refused:
            click.echo(f"ledgerq {label}: {refused}", err=True)
            sys.exit(REFUSED)
