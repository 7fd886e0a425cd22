"""``ledgerq task revoke --story``: one fact in the log, then what becomes of the runs that are known."""

from __future__ import annotations

import getpass
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import click
import psycopg

from domain.run import STATE_AFTER
from domain.story import RunBelongsToStory, StoryRevocationAlreadyRequested, story_stream
from infra.database import connect
from infra.database.door import told_in_one_line
from infra.event_store import EventStore, Log
from infra.event_store.stories import StoryRun, runs_of_story
from infra.settings import Settings
from tasks.revoking import ask_for_revocation_of_story

LOOK_EVERY_SECONDS: Final = 0.25
QUIET_SECONDS: Final = 2.0
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
        taken_back_at = _record(settings, story, reason=reason)
        if waits:
            with connect(settings, name="task command") as connection:
                _follow(connection, story, taken_back_at)


def _record(settings: Settings, story: str, *, reason: str) -> int:
    """The position of the fact, also where it is somebody else's."""
    with EventStore(settings.database_url.get_secret_value(), connections=1, name="task command") as store:
        try:
            actor, now = getpass.getuser(), datetime.now(UTC)
            position = ask_for_revocation_of_story(store, story, reason=reason, actor=actor, at=now)
        except StoryRevocationAlreadyRequested:
            [fact] = store.load_recorded(Log.TASKS, [story_stream(story)])[story_stream(story)]
            by = fact.metadata.get("actor")
            click.echo(f"story {story}: asked for already, at {fact.event.timestamp:%Y-%m-%d %H:%M:%S} UTC by {by}")
            return fact.position
        except (RunBelongsToStory, ValueError) as refusal:
            raise click.ClickException(str(refusal)) from refusal
        click.echo(f"story {story}: recorded at position {position}; whatever turns up of it ends as revoked")
        return position


def _follow(connection: psycopg.Connection[Any], story: str, taken_back_at: int) -> None:
    """Say what each run comes to that had not ended before."""
    told: set[str] = set()
    known, news_at = 0, time.monotonic()
    deadline = news_at + WAIT_SECONDS
    while True:
        runs = runs_of_story(connection, story)
        for run in runs:
            if _ends_after(run, taken_back_at) and run.run_id not in told:
                told.add(run.run_id)
                click.echo(f"{run.run_id}: {STATE_AFTER[run.end or ''].value} ({run.task})")
        now = time.monotonic()
        if len(runs) > known:
            known, news_at = len(runs), now
        if now > deadline or (all(run.end for run in runs) and now - news_at > QUIET_SECONDS):
            break
        time.sleep(LOOK_EVERY_SECONDS)
    _sum_up(runs, taken_back_at)


def _sum_up(runs: list[StoryRun], taken_back_at: int) -> None:
    if not runs:
        click.echo("nothing is recorded of such a story so far")
        return
    ended = Counter(run.end for run in runs if run.end and _ends_after(run, taken_back_at))
    before = sum(run.end is not None and not _ends_after(run, taken_back_at) for run in runs)
    parts = [f"{count} {STATE_AFTER[end].value}" for end, count in sorted(ended.items())]
    open_ = [run for run in runs if run.end is None]
    if before:
        parts.append(f"{before} had ended before")
    if open_:
        parts.append(f"{len(open_)} not met yet: each ends once dispatch or a worker comes to it")
    click.echo("; ".join(parts))
    for run in open_:
        click.echo(f"  {run.run_id} ({run.task or 'a member that is recorded nowhere yet'})")


def _ends_after(run: StoryRun, position: int) -> bool:
    return run.end_position is not None and run.end_position > position
