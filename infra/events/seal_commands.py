"""``ledgerq events seal`` and ``ledgerq events verify``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from infra.database.door import connected
from infra.events.archive import ArchiveUnreadableError
from infra.events.archiving import verify_archive
from infra.events.asking import archive_option, chosen, log_option, now
from infra.events.finding import Verified
from infra.events.published import Published
from infra.events.seal import Seal
from infra.events.sealing import SealDoubtfulError, seal_all
from infra.events.seals import SealTable
from infra.events.verifying import verify
from infra.settings import load_settings

SHOWN_FINDINGS: Final = 50
TELL_EVERY_SECONDS: Final = 1.0


@click.command("seal")
@log_option
@click.option(
    "--print-head", is_flag=True, help="Print each log's head, LOG:POSITION:HASH: publish it, or sign it, elsewhere."
)
@click.option("--adopt", is_flag=True, help="Go on from a newest seal that was not signed with LEDGERQ_SEAL_KEY.")
def seal_command(*, logs: tuple[str, ...], print_head: bool, adopt: bool) -> None:
    """Seal all that is final now. The scheduler seals by itself; this is for publishing a head of this moment."""
    settings = load_settings()
    with connected("events seal", settings) as connection:
        seals = SealTable(connection)
        for log in chosen(logs):
            try:
                made = [
                    each.event_count
                    for each in seal_all(seals, log, now=now(), key=settings.seal_key_bytes, adopt=adopt)
                ]
            except SealDoubtfulError as error:
                raise click.ClickException(str(error)) from error
            last = seals.last(log)
            if print_head and last is not None:
                click.echo(last.head)
            if not print_head:
                click.echo(
                    f"{log.value}: {sum(made):,} events sealed, up to position {last.upto_position if last else 0}"
                )


@click.command("verify")
@log_option
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="LOG:POSITION:HASH",
    help="A head that was published: it must be one of the seals, and in what is looked at. Repeatable.",
)
@click.option(
    "--heads",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of such heads, one a line; those of other logs, and beyond an archive, are passed over.",
)
@archive_option
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def verify_command(
    *, logs: tuple[str, ...], heads: tuple[str, ...], file: Path | None, archives: tuple[Path, ...], as_json: bool
) -> None:
    """Compare the logs with their seals and name what was altered, removed or inserted.

    Exit status: 0 everything agrees; 1 something does not; 2 the database cannot answer, or a head was not looked for.
    """
    if archives and logs:
        raise click.UsageError("--log chooses among the database's logs; an archive is of one log and says of which")
    published = Published.read(heads, file)
    settings = load_settings()
    key = settings.seal_key_bytes
    if archives:
        try:
            found = [verify_archive(path, key=key, heads=published.all) for path in archives]
        except ArchiveUnreadableError as error:
            raise click.ClickException(str(error)) from error
    else:
        of_logs = [head for head in published.all if head.log in chosen(logs)]
        if refusal := published.unanswered(of_logs):
            raise click.UsageError(refusal)
        with connected("events verify", settings) as connection:
            seals = SealTable(connection)
            found = [verify(seals, log, key=key, heads=of_logs, tell=_Teller()) for log in chosen(logs)]
    _print_all(found, is_checked=key is not None, as_json=as_json)
    sys.exit(_status(found, published))


def _status(found: list[Verified], published: Published) -> int:
    """The exit status; says on standard error which heads were not looked for."""
    looked_for = {head for each in found for head in each.heads}
    if passed_over := published.passed_over(looked_for):
        click.echo(
            f"{passed_over} of the {len(published.listed)} heads in {published.file} were not looked for", err=True
        )
    unanswered = published.unanswered(looked_for)
    if unanswered:
        click.echo(f"ledgerq events verify: {unanswered}", err=True)
    if any(each.findings for each in found):
        return 1
    return 2 if unanswered else 0


def _print_all(found: list[Verified], *, is_checked: bool, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode([_values(each) for each in found]), indent=2).decode())
        return
    for each in found:
        _print(each, is_checked=is_checked)


def _values(found: Verified) -> dict[str, Any]:
    return found._asdict() | {
        "findings": [finding._asdict() for finding in found.findings],
        "heads": [head.text for head in found.heads],
    }


def _print(found: Verified, *, is_checked: bool) -> None:
    agree = "agree" if not found.findings else "do NOT agree"
    click.echo(
        f"{found.log.value}: {found.events:,} events and {found.seals:,} seals {agree}, up to position {found.upto}"
        + ("" if found.unsealed is None else f"; {found.unsealed:,} newer ones are not sealed yet")
    )
    if found.dropped:
        click.echo(
            f"  {found.dropped:,} of them were dropped from the log: their digests agree; the events themselves are in"
            " archives (ledgerq events verify --archive)"
        )
    if found.is_signed and not is_checked:
        click.echo("  signatures are not checked: LEDGERQ_SEAL_KEY is not set")
    for finding in found.findings[:SHOWN_FINDINGS]:
        click.echo(f"  {finding.fault.value}: {finding.text}")
    if len(found.findings) > SHOWN_FINDINGS:
        click.echo(f"  and {len(found.findings) - SHOWN_FINDINGS:,} more: --json has them all")


class _Teller:
    """Tells of a long verification now and then, on standard error."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, seal: Seal) -> None:
        if time.monotonic() - self._told_at > TELL_EVERY_SECONDS:
            self._told_at = time.monotonic()
            click.echo(f"{seal.log.value}: verified up to position {seal.upto_position:,}", err=True)
