"""``ledgerq web`` and ``ledgerq token``."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
import psycopg

from infra.database import connect
from infra.database.door import told_in_one_line
from infra.moments import moment
from infra.settings import load_settings
from infra.web import token as tokens
from infra.web.role import Role
from infra.words import WORDS


@click.command()
def web() -> None:
    """Serve the HTTP interface, until SIGTERM: events, tasks, dead letters, schedules, sessions, licenses."""
    from infra.web import process  # noqa: PLC0415  the web server, which `ledgerq token` does without

    process.run()


@click.group()
def token() -> None:
    """Tokens of the HTTP interface: add, list, revoke."""


@token.command()
@click.argument("name", type=WORDS)
@click.option("--role", type=click.Choice([each.value for each in Role]), required=True, help="What it is good for.")
@click.option("--expires", metavar="WHEN", help="From when on it is refused (ISO 8601; UTC). Default: never.")
def add(name: str, *, role: str, expires: str | None) -> None:
    """Make a token for NAME and print it: it cannot be shown again. What is done with it is done by token:NAME."""
    expires_at = moment(expires, now=datetime.now(UTC), option="--expires")
    with _database() as connection:
        try:
            made = tokens.make(connection, name=name, role=Role(role), expires_at=expires_at, by=getpass.getuser())
        except tokens.TokenNameTakenError as error:
            raise click.ClickException(str(error)) from error
    click.echo(made)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
def list_(*, as_json: bool) -> None:
    """Every token that was ever made, without its secret."""
    now = datetime.now(UTC)
    with _database() as connection:
        found = [_values(each, now=now) for each in tokens.every_token(connection)]
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        click.echo(
            f"{each['name']:<24} {each['role']:<9} {each['state']:<8} "
            f"{each['created_at']:%Y-%m-%d} {each['created_by']}"
        )


@token.command()
@click.argument("name", type=WORDS)
def revoke(name: str) -> None:
    """Refuse the token of NAME, within seconds."""
    with _database() as connection:
        if not tokens.revoke(connection, name=name, by=getpass.getuser()):
            raise click.ClickException(f"there is no token {name!r}; `ledgerq token list` has those there are")
    click.echo(f"{name}: revoked")


def _values(known: tokens.Token, *, now: datetime) -> dict[str, Any]:
    state = "good" if known.is_good_at(now) else "revoked" if known.revoked_at else "expired"
    hidden = {"digest"}
    return {**{name: value for name, value in known._asdict().items() if name not in hidden}, "state": state}


@contextmanager
def _database() -> Iterator[psycopg.Connection[Any]]:
    with told_in_one_line("token"), connect(load_settings(), name="token") as connection:
        yield connection
