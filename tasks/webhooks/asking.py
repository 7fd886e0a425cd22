"""The way in for commands about webhooks: the store, a verb done as whoever calls, a reason and JSON."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import click
import msgspec

from domain.aggregate import Event
from domain.cause import Cause
from domain.refusal import Refusal
from infra.database.door import told_in_one_line
from infra.event_store import EventStore, Log, LostRaceError, NewEvent, caused
from infra.settings import Settings, load_settings
from infra.webhooks.secrets import WebhookKeyMissingError
from infra.words import WORDS

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
name_argument: Final[Option] = click.argument("name", type=WORDS)
reason_option: Final[Option] = click.option("--reason", type=WORDS, help="Why; it is recorded, with your name.")
json_option: Final[Option] = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


@contextmanager
def opened() -> Iterator[EventStore]:
    """The store, for one command; what is wrong is told in one line."""
    url = load_settings().database_url.get_secret_value()
    with told_in_one_line("webhook"), EventStore(url, connections=1, name="webhook command") as store, _answered():
        yield store


def append(store: EventStore, events: list[Event], *, at: datetime | None = None) -> list[NewEvent]:
    """Append what a person has asked for, each event as a cause of its own."""
    now, actor = at or datetime.now(UTC), getpass.getuser()
    new = [each for event in events for each in caused([event], Cause(id=uuid4(), at=now, actor=actor))]
    store.append(Log.LICENSING, new)
    return new


def told_secret(make: Callable[[Settings, str, int], str], name: str, generation: int) -> str:
    """A secret, for whoever is to be told it."""
    try:
        return make(load_settings(), name, generation)
    except WebhookKeyMissingError as error:
        raise click.ClickException(str(error)) from error


def as_text(value: Any) -> str:
    """JSON text."""
    return msgspec.json.encode(value).decode()


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise click.ClickException(str(refusal)) from refusal
    except LostRaceError as error:
        raise click.ClickException("somebody did something about it at the same moment; look, and try again") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
