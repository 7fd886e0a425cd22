"""``ledgerq session`` and ``ledgerq license``: the state of one, now or as of an instant, computed from the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from infra.database.door import told_in_one_line
from infra.event_store import EventStore, EventUnreadableError
from infra.events.as_of import AsOf
from infra.events.asking import as_of_options, asked_as_of
from infra.events.showing import clock
from infra.settings import load_settings
from infra.words import WORDS
from projections import presentation
from projections.as_of import license_as_of, session_as_of

_Ask = Callable[[EventStore, str, AsOf | None], msgspec.Struct | None]
_json_option: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")


@click.group()
def session() -> None:
    """A session's state, now or as of an instant."""


@session.command("show")
@click.argument("session_id", type=WORDS)
@as_of_options
@_json_option
def show_session(session_id: str, *, as_json: bool, **asked: str | None) -> None:
    """Show the session SESSION_ID as its transitions and its heartbeats tell it."""
    _show("session", session_id, session_as_of, as_json=as_json, **asked)


@click.group()
def license_() -> None:
    """A license's state, now or as of an instant."""


@license_.command("show")
@click.argument("license_id", type=WORDS)
@as_of_options
@_json_option
def show_license(license_id: str, *, as_json: bool, **asked: str | None) -> None:
    """Show the license LICENSE_ID as its events tell it."""
    _show("license", license_id, license_as_of, as_json=as_json, **asked)


def _show(kind: str, thing: str, ask: _Ask, *, as_json: bool, as_of: str | None, by: str | None) -> None:
    when = asked_as_of(as_of, by)
    settings, name = load_settings(), f"{kind} show"
    url = settings.database_url.get_secret_value()
    with told_in_one_line(name), EventStore(url, connections=1, name=name) as store:
        try:
            row = ask(store, thing, when)
            is_known = row is not None or ask(store, thing, None) is not None
        except EventUnreadableError as error:
            raise click.ClickException(str(error)) from error
    if row is None:
        nothing = f"there was nothing of the {kind} {thing} as of {when}"
        raise click.ClickException(nothing if is_known else f"the log knows no {kind} {thing}")
    values: dict[str, Any] = msgspec.structs.asdict(row)
    if as_json:
        click.echo(presentation.encode(values))
        return
    width = max(map(len, values))
    for column, value in values.items():
        if value is not None:
            text = clock(value) if column.endswith(("_at", "_until")) else value
            click.echo(f"{column.replace('_', ' '):<{width}}  {text}")
