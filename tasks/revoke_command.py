"""``ledgerq task revoke``: take runs back, wherever they are."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from domain.refusal import Refusal
from domain.run import RevocationAlreadyRequested
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, LostRaceError
from infra.settings import load_settings
from tasks.revoke_story import revoke_story
from tasks.revoking import NothingRecordedError, ask_for_revocation


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...")
@click.option(
    "--story",
    metavar="CORRELATION_ID",
    help="Every run of this story that has not ended, also those that turn up later.",
)
@click.option("--reason", required=True, help="Why; it is recorded, with your name.")
@click.option(
    "--task", "task_name", help="Name of the task, for runs that nothing is recorded of yet: calls by Celery clients."
)
@click.option("--no-wait", is_flag=True, help="With --story: record it, and do not wait for what becomes of the runs.")
def revoke(run_ids: tuple[str, ...], *, story: str | None, reason: str, task_name: str | None, no_wait: bool) -> None:
    """Take runs back: what waits is not executed, what runs is ended.

    The status is 1 if there was one that could not be taken back. Whoever has a run in hand hears of it within about a
    second; `ledgerq task show` tells what became of it.
    """
    if bool(run_ids) == (story is not None):
        raise click.UsageError("name the runs, or their --story")
    settings = load_settings()
    if story is not None:
        revoke_story(settings, story, reason=reason, waits=not no_wait)
        return
    with EventStore(settings.database_url.get_secret_value(), connections=1, name="task command") as store:
        done = [_revoke(store, run_id, reason=reason, task=task_name) for run_id in run_ids]
    if not all(done):
        raise click.exceptions.Exit(1)


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
