"""The work of stories that were taken back: each open run that the log knows of is revoked.

Carried out as :mod:`tasks.dispatch.license_work` is. A run that turns up later is met elsewhere: where its request is
published, where its wait begins, or by the worker that gets its message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import uuid5

import structlog

from domain.policies import RevokeStory, decide
from domain.run import revocation_requested
from domain.story import StoryRevocationRequested
from domain.task_run import run_stream
from infra.event_store import EventStore, Log, NewEvent, Recorded
from tasks.dispatch.causes import cause_of

EVENTS_AT_ONCE: Final = 1000
"""Events of open runs that are looked at for one transaction."""

log = structlog.get_logger(__name__)


def end_story(
    store: EventStore, recorded: Recorded, *, at: datetime, events_at_once: int = EVENTS_AT_ONCE
) -> Iterator[int]:
    """Revoke what the policies want revoked because of one stored event, a transaction each time it is asked to go on.

    Args:
        store: with the logs.
        recorded: the event.
        at: the present, UTC.
        events_at_once: events of open runs per transaction.

    Yields:
        how many runs the transaction asked to be revoked.
    """
    event = recorded.event
    if not isinstance(event, StoryRevocationRequested):
        return
    for command in decide(event):
        if isinstance(command, RevokeStory):
            yield from _end(store, recorded, event, command, at=at, events_at_once=events_at_once)


def _end(
    store: EventStore,
    recorded: Recorded,
    event: StoryRevocationRequested,
    command: RevokeStory,
    *,
    at: datetime,
    events_at_once: int,
) -> Iterator[int]:
    revoked, after, upto = 0, 0, store.safe_position(Log.TASKS)
    while found := store.open_runs_of_story(command.correlation_id, after=after, upto=upto, limit=events_at_once):
        after = found[-1][0]
        runs = list({stream: task for _, stream, task in found}.items())
        verdicts = store.append_each(Log.TASKS, _revocations(recorded, event, command, runs, at=at))
        stored = sum(verdict.outcome == "stored" for verdict in verdicts)
        revoked += stored
        yield stored
    log.warning("story revoked", correlation_id=command.correlation_id, open_runs=revoked, reason=event.reason)


def _revocations(
    recorded: Recorded,
    event: StoryRevocationRequested,
    command: RevokeStory,
    runs: Sequence[tuple[str, str]],
    *,
    at: datetime,
) -> list[NewEvent]:
    metadata = cause_of(recorded, actor=str(recorded.metadata.get("actor") or "somebody")).metadata()
    return [
        NewEvent(
            revocation_requested(
                stream.removeprefix(run_stream("")),
                task=task,
                reason=event.reason,
                at=at,
                decided_by=str(recorded.event_id),
            ),
            uuid5(recorded.event_id, f"{command.purpose}/{stream}"),
            metadata,
        )
        for stream, task in runs
    ]
