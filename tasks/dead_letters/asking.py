"""What all commands about dead letters do: find the letters that are meant, in the read model and in the log."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click
import psycopg

from domain.dead_letter import GENERATION_LIMIT, LetterState
from infra import database
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore
from infra.settings import load_settings
from projections.queries import LetterFilter, dead_letters
from tasks.dead_letters.choice import says_anything, taken_from
from tasks.dead_letters.letter import Letter, load_letters

ASK_ABOVE: Final = 10
"""Letters up to which nobody is asked whether that is really meant."""

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
json_option: Final[Option] = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
reason_option: Final[Option] = click.option("--reason", help="Why, in your words; recorded with your name.")
yes_option: Final[Option] = click.option("--yes", is_flag=True, help=f"Do not ask, even above {ASK_ABOVE} letters.")
all_option: Final[Option] = click.option(
    "--all", "is_all", is_flag=True, help="Mean all open letters, where no filter is given."
)


def chosen(given: dict[str, Any], *, is_all: bool, is_again: bool) -> LetterFilter:
    """The letters that are meant; a filter never finds those that too many replays led to.

    Args:
        given: the command's options; those that choose letters are taken out.
        is_all: all of them, where no option chooses.
        is_again: also those that have been decided on.

    Raises:
        click.UsageError: nothing says which letters are meant.
    """
    which = taken_from(given, now=now(), states=() if is_again else (LetterState.OPEN.value,))
    if not says_anything(which) and not is_all:
        raise click.UsageError("say which letters are meant (--run, --task, --error …), or --all")
    if which.run_ids:
        return which._replace(states=())  # those that are no longer open are named in the answer
    return which._replace(below_generation=GENERATION_LIMIT)


def found(store: EventStore, which: LetterFilter, *, limit: int) -> Iterator[Letter]:
    """The letters as the log has them, the oldest first, a page at a time: together they may be large.

    Those named by run alone need no read model. It may be late in telling that a run is a replay; here the log is asked
    again.

    Raises:
        click.ClickException: the log has no dead letter of a run that was named, or nobody answers.
    """
    if which.run_ids and set(which.as_values()) == {"run_ids"}:
        known = {letter.run_id for letter in load_letters(store, which.run_ids)}
        if unknown := sorted({*which.run_ids} - known):
            raise click.ClickException(f"the log has no dead letter of {', '.join(unknown)}")
        run_ids = list(which.run_ids[:limit])
    else:
        with read_models() as connection:
            run_ids = [row.run_id for row in dead_letters(connection, which, limit=limit)]
    below = which.below_generation
    return (letter for letter in load_letters(store, run_ids) if below is None or letter.generation < below)


def need_reason(reason: str | None) -> str:
    """The reason, if there is one.

    Raises:
        click.UsageError: there is none.
    """
    if not reason or not reason.strip():
        raise click.UsageError("--reason is needed: it is recorded, with your name, for whoever asks later")
    return reason


def confirm(question: str, count: int, *, yes: bool) -> None:
    """Ask whether that many letters are meant, if they are many."""
    if count > ASK_ABOVE and not yes:
        click.confirm(question, abort=True)


def actor() -> str:
    """Who is at the keyboard: user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)


@contextmanager
def opened_store() -> Iterator[EventStore]:
    """The event store; where the database is away, one line that says so."""
    settings = load_settings()
    try:
        with EventStore(settings.database_url.get_secret_value(), connections=1, name="dlq command") as store:
            yield store
    except DatabaseUnreachableError as error:
        raise click.ClickException(f"the database cannot be reached: {error}") from error


@contextmanager
def read_models() -> Iterator[psycopg.Connection[Any]]:
    """A connection to the read models; where they cannot be asked, one line that says why."""
    try:
        with database.connect(load_settings(), name="dlq command") as connection:
            yield connection
    except (DatabaseUnreachableError, psycopg.Error) as error:
        raise click.ClickException(f"the database cannot answer: {error}") from error
