"""``ledgerq task revoke --story``: one fact in the log, then what becomes of the runs that are known."""

from __future__ import annotations

import getpass
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import click
import psycopg

from domain.run import STATE_AFTER
from domain.story import RunBelongsToStory, StoryRevocationAlreadyRequested
from infra.database import connect
from infra.database.door import told_in_one_line
from infra.event_store import EventStore
from infra.event_store.stories import StoryRun, runs_of_story
from infra.settings import Settings
from tasks.revoking import ask_for_revocation_of_story

LOOK_EVERY_SECONDS: Final = 0.25
QUIET_SECONDS: Final = 1.0
"""A story of which no run is open, and none has turned up for so long, has come to rest."""
WAIT_SECONDS: Final = 20.0
"""A run that has not ended by then waits for somebody who is not there."""


def revoke_story(settings: Settings, story: str, *, reason: str, waits: bool) -> None:
    """Record it, say so, and say of each run what it came to.

    Args:
        settings: for the database.
        story: its correlation id.
        reason: why.
        waits: whether to wait until the open runs that are known have ended, 20 s at most.

    Raises:
        click.ClickException: it is no story.
        SystemExit: the database cannot be asked; it has been said why.
    """
    with told_in_one_line("task revoke"):
        _record(settings, story, reason=reason)
        if waits:
            with connect(settings, name="task command") as connection:
                _follow(connection, story)


def _record(settings: Settings, story: str, *, reason: str) -> None:
    with EventStore(settings.database_url.get_secret_value(), connections=1, name="task command") as store:
        try:
            actor, now = getpass.getuser(), datetime.now(UTC)
            position = ask_for_revocation_of_story(store, story, reason=reason, actor=actor, at=now)
        except StoryRevocationAlreadyRequested:
            click.echo(f"story {story}: somebody has asked for that already; it stands")
        except RunBelongsToStory as refusal:
            raise click.ClickException(str(refusal)) from refusal
        else:
            click.echo(f"story {story}: recorded at position {position}; whatever turns up of it ends as revoked")


def _follow(connection: psycopg.Connection[tuple[object, ...]], story: str) -> None:
    """Say what each run comes to that was open at first or has turned up since."""
    runs = runs_of_story(connection, story)
    ended_before = {run.run_id for run in runs if run.end is not None}
    told: set[str] = set()
    deadline, news_at = time.monotonic() + WAIT_SECONDS, time.monotonic()
    known = len(runs)
    while time.monotonic() < deadline:
        for run in runs:
            if run.end is not None and run.run_id not in ended_before | told:
                told.add(run.run_id)
                click.echo(f"{run.run_id}: {STATE_AFTER[run.end].value} ({run.task})")
        if len(runs) > known:
            known, news_at = len(runs), time.monotonic()
        if all(run.end is not None for run in runs) and time.monotonic() - news_at > QUIET_SECONDS:
            break
        time.sleep(LOOK_EVERY_SECONDS)
        runs = runs_of_story(connection, story)
    _sum_up(runs, ended_before)


def _sum_up(runs: list[StoryRun], ended_before: set[str]) -> None:
    if not runs:
        click.echo("nothing is recorded of such a story so far")
        return
    ended = Counter(run.end for run in runs if run.end is not None and run.run_id not in ended_before)
    parts = [f"{count} {STATE_AFTER[end].value}" for end, count in sorted(ended.items())]
    open_ = [run for run in runs if run.end is None]
    if ended_before:
        parts.append(f"{len(ended_before)} had ended before")
    if open_:
        parts.append(f"{len(open_)} not met yet: each ends once dispatch or a worker comes to it")
    click.echo("; ".join(parts))
    for run in open_:
        click.echo(f"  {run.run_id} ({run.task})")
