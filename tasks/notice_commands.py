"""``ledgerq notice``: what came of e-mails, and the key that links in them are encrypted to."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import click
import msgspec

from domain.notice import NoticeState, notice_stream
from infra.database.door import connected, told_in_one_line
from infra.event_store import EventStore, Log, Recorded
from infra.events.showing import clock
from infra.mail import AddressInvalidError, MailAddress
from infra.moments import moment
from infra.secret_link import (
    LONGEST_LIFE,
    LinkInvalidError,
    LinkKeyInvalidError,
    LinkKeys,
    SecretLink,
    encrypt_link,
    new_key,
)
from infra.settings import load_settings
from infra.words import WORDS
from projections.queries import NoticeFilter, notices
from tasks.dead_letters import showing

COLUMNS: Final = ("notice_id", "last_outcome_at", "state", "template", "recipient", "reply_code", "reason", "detail")
_SHOWN_ELSEWHERE: Final = frozenset({"template", "cause", "license_id"})
_json_option: Final = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


@click.group()
def notice() -> None:
    """Notices: list, show; keys for links in them."""


@notice.command("list")
@click.option("--state", type=click.Choice([state.value for state in NoticeState]), help="What has come of it.")
@click.option("--to", "recipient", type=WORDS, metavar="ADDRESS", help="To whom.")
@click.option("--template", type=WORDS, metavar="NAME", help="Which letter.")
@click.option("--license", "license_id", type=WORDS, metavar="ID", help="The license whose business it is.")
@click.option("--since", metavar="WHEN", help="Since then: 2h, 30m, 7d, or a date and time (ISO 8601; UTC).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most notices to show.")
@_json_option
def list_(*, since: str | None, limit: int, as_json: bool, **given: Any) -> None:
    """List notices, what came of them last first, as the read model has them."""
    which = NoticeFilter(since=moment(since, now=datetime.now(UTC), option="--since"), **given)
    with connected("notice list") as connection:
        rows = notices(connection, which, limit=limit)
    click.echo(showing.encode(rows)) if as_json else showing.print_table(showing.fitting(rows, COLUMNS))


@notice.command()
@click.argument("notice_id", type=click.UUID)
@_json_option
def show(notice_id: UUID, *, as_json: bool) -> None:
    """Show all that came of the notice NOTICE_ID, as the log has it."""
    stream, url = notice_stream(notice_id), load_settings().database_url.get_secret_value()
    with told_in_one_line("notice show"), EventStore(url, connections=1, name="notice show") as store:
        story = store.load_recorded(Log.LICENSING, [stream]).get(stream, [])
    if not story:
        raise click.ClickException(f"the log knows no notice {notice_id}")
    if as_json:
        events = [{"name": each.event.name, "at": each.event.timestamp, **each.event.data()} for each in story]
        click.echo(showing.encode({"notice_id": str(notice_id), "events": events}))
    else:
        click.echo(_told(story))


@notice.command("new-key")
def new_key_() -> None:
    """Print a new private key for LEDGERQ_LINK_KEY. Keep it where secrets are kept."""
    click.echo(new_key())


@notice.command("public-key")
def public_key() -> None:
    """Print the public key that services encrypt links to; it is no secret."""
    click.echo(_own_keys().public)


@notice.command("encrypt-link")
@click.option("--to", required=True, metavar="ADDRESS", help="To whom the letter will go.")
@click.option(
    "--minutes",
    type=click.IntRange(1, int(LONGEST_LIFE.total_seconds() // 60)),
    default=60,
    show_default=True,
    help="How long the link lives.",
)
@click.option("--public-key", metavar="KEY", help="The platform's. Default: that of LEDGERQ_LINK_KEY here.")
def encrypt_link_(*, to: str, minutes: int, public_key: str | None) -> None:
    """Encrypt the link on standard input, as a service does; print what goes into `encrypted_link`."""
    link = sys.stdin.read().strip()
    try:
        secret = SecretLink(
            link=link, to=MailAddress.parse(to).text, expires_at=datetime.now(UTC) + timedelta(minutes=minutes)
        )
        click.echo(encrypt_link(secret, public_key or _own_keys().public))
    except (AddressInvalidError, LinkInvalidError, LinkKeyInvalidError) as error:
        raise click.ClickException(str(error)) from error


def _own_keys() -> LinkKeys:
    key = load_settings().link_key
    if key is None:
        raise click.ClickException("LEDGERQ_LINK_KEY is not set; ledgerq notice new-key makes one")
    try:
        return LinkKeys(key.get_secret_value())
    except LinkKeyInvalidError as error:
        raise click.ClickException(f"LEDGERQ_LINK_KEY: {error}") from error


def _told(story: list[Recorded]) -> str:
    first = story[0].event.data()
    license_ = f" · license {first['license_id']}" if first["license_id"] else ""
    lines = [f"{first['template']} · for {first['cause']}{license_}"]
    for each in story:
        data = {name: value for name, value in each.event.data().items() if name not in _SHOWN_ELSEWHERE}
        said = "  ".join(f"{name}={_text(value)}" for name, value in data.items() if value is not None)
        lines.append(f"  {clock(each.event.timestamp)}  {each.event.name}  {said}")
    return "\n".join(lines)


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else msgspec.json.encode(value).decode()
