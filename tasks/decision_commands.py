"""What commands share by which people decide about named things: schedules, endpoints and hooks of webhooks.

A decision is one event of the licensing log, recorded with who made it and why; what the domain refuses is told in
one line.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import click

from domain.aggregate import Event
from domain.cause import Cause
from domain.refusal import Refusal
from infra.database.door import told_in_one_line
from infra.event_store import EventStore, Log, LostRaceError, NewEvent, caused
from infra.settings import load_settings
from infra.words import WORDS

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
name_argument: Final[Option] = click.argument("name", type=WORDS)
reason_option: Final[Option] = click.option("--reason", type=WORDS, help="Why; it is recorded, with your name.")
json_option: Final[Option] = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


@contextmanager
def opened(command: str) -> Iterator[EventStore]:
    """The store, for one command; what is wrong is told in one line.

    Args:
        command: its name, for the line and for the database's list of sessions.

    Raises:
        click.ClickException: the domain refuses, or somebody else was faster.
        click.UsageError: what is wanted makes no sense.
    """
    url = load_settings().database_url.get_secret_value()
    with (
        told_in_one_line(command),
        EventStore(url, connections=1, name=f"{command} command") as store,
        _told_to_people(),
    ):
        yield store


def append(store: EventStore, events: list[Event], *, at: datetime | None = None) -> list[NewEvent]:
    """Append what whoever calls the command has decided, each event as a cause of its own.

    Args:
        store: the store.
        events: of the licensing log.
        at: when it was decided; now where not given.
    """
    now, actor = at or datetime.now(UTC), getpass.getuser()
    new = [each for event in events for each in caused([event], Cause(id=uuid4(), at=now, actor=actor))]
    store.append(Log.LICENSING, new)
    return new


def verb_of(group: click.Group, *, done: str) -> Callable[[Callable[[str, str | None], None]], click.Command]:
    """Make a function a command of the group, of its own name and with its docstring as help.

    It does one thing to what is named, for a reason: both are its arguments.

    Args:
        group: whose command it becomes.
        done: what is printed behind the name once it is done.
    """

    def declared(decide: Callable[[str, str | None], None]) -> click.Command:
        @group.command(decide.__name__, help=decide.__doc__)
        @name_argument
        @reason_option
        def command(name: str, *, reason: str | None) -> None:
            decide(name, reason)
            click.echo(f"{name}: {done}")

        return command

    return declared


@contextmanager
def _told_to_people() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise click.ClickException(str(refusal)) from refusal
    except LostRaceError as error:
        raise click.ClickException("somebody did something about it at the same moment; look, and try again") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
