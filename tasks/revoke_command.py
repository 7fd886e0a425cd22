"""``ledgerq task revoke``: take runs back, wherever they are."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import click

from domain.refusal import Refusal
from domain.run import RevocationAlreadyRequested
from infra.database import DatabaseUnreachableError, connect
from infra.database.door import told_in_one_line
from infra.event_store import EventStore, LostRaceError
from infra.settings import Settings, load_settings
from projections.queries import open_runs_of_story
from tasks.revoking import NothingRecordedError, ask_for_revocation

QUIET_SECONDS: Final = 2.0
"""A story of which no open run has turned up for so long, once those known are revoked, has none."""
LOOK_EVERY_SECONDS: Final = 0.25


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...")
@click.option(
    "--story", help="Every run of this story (correlation id) that has not ended, and what they start meanwhile."
)
@click.option("--reason", required=True, help="Why; it is recorded, with your name.")
@click.option(
    "--task", "task_name", help="Name of the task, for runs that nothing is recorded of yet: calls by Celery clients."
)
def revoke(run_ids: tuple[str, ...], *, story: str | None, reason: str, task_name: str | None) -> None:
    """Take runs back: what waits is not executed, what runs is ended.

    The status is 1 if there was one that could not be taken back. Whoever has a run in hand hears of it within about a
    second; `ledgerq task show` tells what became of it.
    """
    if bool(run_ids) == (story is not None):
        raise click.UsageError("name the runs, or their --story")
    settings = load_settings()
    with EventStore(settings.database_url.get_secret_value(), connections=1, name="task command") as store:
        found = dict.fromkeys(run_ids) if story is None else _open_runs(settings, story)
        done = [_revoke(store, run_id, reason=reason, task=task_name) for run_id in found]
    if not all(done):
        raise click.exceptions.Exit(1)


def _open_runs(settings: Settings, story: str) -> Iterator[str]:
    """The story's open runs, until no more of them turn up: what has begun may start others before it hears of its end.

    Raises:
        click.ClickException: the database cannot be reached.
    """
    seen: set[str] = set()
    quiet_since = time.monotonic()
    with told_in_one_line("task revoke"), connect(settings, name="task command") as connection:
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            for run_id in open_runs_of_story(connection, story):
                if run_id not in seen:
                    seen.add(run_id)
                    quiet_since = time.monotonic()
                    yield run_id
            time.sleep(LOOK_EVERY_SECONDS)
    if not seen:
        click.echo(f"{story}: no run of such a story is open")


def _revoke(store: EventStore, run_id: str, *, reason: str, task: str | None) -> bool:
    """Whether the run is going to be revoked; says so."""
    now = datetime.now(UTC)
    try:
        ask_for_revocation(store, run_id, reason=reason, task=task, actor=getpass.getuser(), at=now)
    except NothingRecordedError as error:
        click.echo(f"{error}; if a Celery client called it, name its --task")
        return False
    except (RevocationAlreadyRequested, LostRaceError):
        click.echo(f"{run_id}: somebody has asked for that already")
    except Refusal as refusal:
        click.echo(str(refusal))
        return False
    except DatabaseUnreachableError as error:
        raise click.ClickException(f"the database cannot be reached: {error}") from error
    else:
        click.echo(f"{run_id}: asked for")
    return True
