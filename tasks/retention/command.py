"""``ledgerq events retain``."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from infra.database import Leadership
from infra.database.door import connected
from infra.retention.dropping import Dropped
from infra.settings import Settings, load_settings
from tasks.retention.judging import LOG, Standing, judge
from tasks.retention.retaining import LEADERSHIP, RetentionRefusedError, Told, retain

_MEGABYTE = 1_000_000


@click.command("retain")
@click.option("--apply", "is_applied", is_flag=True, help="Archive and drop what may go; without it nothing is done.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of the months, for programs; not with --apply.")
def command(*, is_applied: bool, as_json: bool) -> None:
    """Say of every month of heartbeats whether it may go, and what keeps it; --apply archives and drops.

    LEDGERQ_KEEP_HEARTBEATS_DAYS says how long they are kept, LEDGERQ_ARCHIVE_DIR where archives are.
    """
    if is_applied and as_json:
        raise click.UsageError("--json tells of the months as they are; it does not go with --apply")
    settings = load_settings()
    with connected("events retain", settings) as connection:
        if is_applied:
            _apply(connection, settings)
            return
        found = judge(connection, settings, now=datetime.now(UTC))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode([_values(each) for each in found]), indent=2).decode())
        return
    for standing in found:
        _print(standing)
    if any(not standing.reasons for standing in found):
        click.echo("nothing was done: --apply archives and drops what may go")


def _apply(connection: Any, settings: Settings) -> None:
    with Leadership(settings, LEADERSHIP) as leadership:
        if not leadership.acquire():
            raise click.ClickException("somebody else is archiving and dropping: the scheduler, or another command")
        try:
            staying = retain(connection, settings, by=getpass.getuser(), tell=_tell)
        except RetentionRefusedError as error:
            raise click.ClickException(str(error)) from error
    for standing in staying:
        _print(standing)


def _tell(what: Told) -> None:
    if isinstance(what, Dropped):
        click.echo(f"{what.part}: dropped, {what.events:,} events of log {LOG.value}; they are in the archives")
    else:
        name = click.format_filename(what.path)
        click.echo(f"{name}: {what.events:,} events, {what.size_bytes / _MEGABYTE:,.1f} MB, verified")


def _print(standing: Standing) -> None:
    part = standing.part
    archived = "archived" if standing.is_archived else "not archived yet"
    head = f"{part.name:<8} {part.size_bytes / _MEGABYTE:>12,.1f} MB"
    if not standing.reasons:
        click.echo(f"{head}  may go ({archived})")
        return
    click.echo(f"{head}  stays: {standing.reasons[0]}")
    for reason in standing.reasons[1:]:
        click.echo(f"{' ' * len(head)}         {reason}")


def _values(standing: Standing) -> dict[str, Any]:
    part = standing.part._asdict()
    return {"log": LOG.value, **part, "is_archived": standing.is_archived, "reasons": standing.reasons}
