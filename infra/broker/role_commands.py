"""``ledgerq topology users`` and ``ledgerq topology password``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import click

from infra.broker.errors import BrokerError
from infra.broker.granting import Standing, standings
from infra.broker.management import ManagementApi
from infra.broker.passwords import SHORTEST, UserMissingError, has_password, login_url, new_password, set_password
from infra.broker.roles import NOTHING, ROLE
from infra.settings import load_settings


@click.command()
def users() -> None:
    """The roles, their users and rights, and whether the broker has them so; status 1 where it has not."""
    with _told_in_one_line():
        found = list(standings(ManagementApi(load_settings())))
    for standing in found:
        click.echo("\n".join(_lines(standing)) + "\n")
    if any(standing.differences or not standing.exists for standing in found):
        click.echo("`ledgerq topology apply --all` gives every role its rights and no others.")
        raise click.exceptions.Exit(1)


def _lines(standing: Standing) -> Iterator[str]:
    role = standing.role
    yield f"{standing.user}: {role.purpose}"
    if role.write != NOTHING:
        yield f"  writes to      {role.write}"
    for exchange, keys in role.keys.items():
        yield f"  there under    {keys} ({exchange})"
    if role.read != NOTHING:
        yield f"  takes from     {role.read}"
    if role.configure != NOTHING:
        yield f"  declares       {role.configure}"
    if role.tags:
        yield f"  management     {', '.join(role.tags)}"
    for difference in standing.differences:
        yield f"  but it {difference}"
    if not standing.exists:
        yield "  but it does not exist"
    elif not standing.has_password:
        yield "  has no password: nobody can log in"


@click.command()
@click.argument("roles", metavar="[ROLE]...", nargs=-1, type=click.Choice(list(ROLE)))
@click.option("--every", is_flag=True, help="Of all roles.")
@click.option("--if-none", is_flag=True, help="Leave alone whoever has one.")
@click.option("--stdin", "given", is_flag=True, help="Read lines ROLE PASSWORD instead of making passwords up.")
def password(*, roles: tuple[str, ...], every: bool, if_none: bool, given: bool) -> None:
    """Set the passwords of roles: new ones, printed once as broker URLs, or those that standard input has.

    The old one counts no longer; who is connected stays connected. Nothing keeps a password but the broker, as a hash.
    """
    if sum(map(bool, (roles, every, given))) != 1:
        raise click.UsageError("name roles, or say --every, or --stdin")
    wanted = _read(sys.stdin) if given else {name: new_password() for name in roles or ROLE}
    settings = load_settings()
    with _told_in_one_line():
        api = ManagementApi(settings)
        for name, secret in wanted.items():
            if if_none and has_password(api, name):
                click.echo(f"{name}: has a password, left alone", err=True)
            elif not set_password(api, name, secret):
                click.echo(f"{name}: that is its password already", err=True)
            elif given:
                click.echo(f"{name}: set", err=True)
            else:
                click.echo(f"{name} {login_url(settings, name, vhost=api.vhost, password=secret)}")


def _read(lines: Iterable[str]) -> Mapping[str, str]:
    """Passwords by role. Nothing of a line is repeated in an error: it may be the password."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, _, secret = line.strip().partition(" ")
        if name not in ROLE:
            raise click.ClickException(f"line {number}: a line is ROLE PASSWORD; roles are {', '.join(ROLE)}")
        if len(secret.strip()) < SHORTEST:
            raise click.ClickException(f"line {number}: the password of {name} has less than {SHORTEST} characters")
        found[name] = secret.strip()
    if not found:
        raise click.UsageError("--stdin: standard input is empty; wanted are lines ROLE PASSWORD")
    return found


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    try:
        yield
    except (BrokerError, UserMissingError) as error:
        raise click.ClickException(str(error)) from error
