"""Open runs: accepted, not ended, and where the log says their message should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from domain.task_run import (
    SLOT_END,
    SLOT_REQUESTED,
    TaskPublished,
    TaskReceived,
    TaskRepublished,
    TaskRequested,
    TaskRetryScheduled,
    TaskStarted,
    order_of,
    run_stream,
)
from domain.tier import TIER_OF_QUEUE, Tier
from domain.wait import TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut
from infra.broker.delay import MAX_DELAY

_PLACE_AFTER: Final = (
    TaskRequested.TOPIC,
    TaskPublished.TOPIC,
    TaskReceived.TOPIC,
    TaskStarted.TOPIC,
    TaskRetryScheduled.TOPIC,
    TaskWaitBegan.TOPIC,
    TaskWaitSatisfied.TOPIC,
    TaskWaitTimedOut.TOPIC,
)
_NEXT_AFTER: Final = frozenset(_PLACE_AFTER[-4:])
"""After these it is the next attempt whose message there is, or will be."""
_WAIT_ENDS: Final = frozenset(_PLACE_AFTER[-2:])
# A stream's rows lie together in the primary key: one walk over it finds the runs without an end slot.
_OPEN: Final = f"""
    select stream_id, version, name, position, occurred_at, recorded_at, data->>'task' as task, data->>'tier' as tier,
           data->>'queue' as queue, data->>'worker' as worker, (data->>'attempt')::int as attempt,
           (data->>'delay_seconds')::float8 as delay_seconds, (data->>'eta')::timestamptz as eta,
           (data->>'priority')::int as priority, (data->>'copy')::int as copy,
           coalesce((data->>'is_spared')::boolean, name = '{TaskWaitBegan.TOPIC}') as is_spared
    from event_store.task_events
    where stream_id in (
        select stream_id from event_store.task_events group by stream_id having not bool_or(version = {SLOT_END})
    )
    order by stream_id, version
"""  # noqa: S608  a constant


class Place(StrEnum):
    """Where a run's message should be."""

    DISPATCH = "dispatch"
    """Not a message yet."""
    QUEUE = "queue"
    """In its tier's queue, or in the hands of a worker that has not begun it."""
    LADDER = "delay ladder"
    """Waiting for its time; after that, in the queue."""
    LOG = "log"
    """It waits for an event or a time; the log keeps its message."""
    WORKER = "worker"
    """Being executed."""


class OpenRun(NamedTuple):
    """One run that has not ended.

    Attributes:
        run_id: its id.
        task: the task's name.
        tier: whose queue it goes to.
        priority: within the tier.
        place: where its message should be.
        attempt: the attempt that its message asks for, from 1.
        last: stored name of the last thing told of it.
        since: when that was recorded, by the database's clock.
        due: when its message leaves the ladder; None where it does not wait there.
        worker: who executes it.
        request_position: of its ``task.requested`` in the log; None where there is none (a direct Celery call).
        copies: how many copies of its message were published beside the first.
        spared: how many of its attempts do not count against the task's budget.
        resumed_position: of the end of its wait in the log, where that is the last thing told of it; dispatch publishes
            its next attempt when it comes there.
    """

    run_id: str
    task: str
    tier: Tier
    priority: int
    place: Place
    attempt: int
    last: str
    since: datetime
    due: datetime | None
    worker: str | None
    request_position: int | None
    copies: int
    spared: int
    resumed_position: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether a worker sent it back into the ladder; that may happen again without being told anew."""
        return self.last == TaskReceived.TOPIC

    def is_before_dispatch(self, dispatched: int) -> bool:
        """Whether dispatch, which has come to that position of the log, has yet to publish it."""
        requested = self.request_position if self.place is Place.DISPATCH else None
        return max(requested or 0, self.resumed_position or 0) > dispatched

    def last_seen(self) -> str:
        """Where, in words."""
        match self.place:
            case Place.LOG:
                return "in the log, waiting for an event or a time"
            case Place.DISPATCH:
                return "in the log, on its way to dispatch"
            case Place.WORKER:
                return f"being executed by {self.worker}"
            case Place.LADDER if self.due is not None:
                return f"in the delay ladder until {self.due:%Y-%m-%d %H:%M:%S} UTC"
            case _:
                return f"in queue {self.tier.queue}"


def open_runs(connection: psycopg.Connection[Any]) -> list[OpenRun]:
    """All runs that the log knows to have been accepted and not to have ended."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows: list[Any] = cursor.execute(_OPEN.encode()).fetchall()
    streams = groupby(rows, key=lambda row: row.stream_id)
    return [run for _, told in streams if (run := _fold(list(told))) is not None]


def _fold(told: list[Any]) -> OpenRun | None:
    """The run that these rows of one stream tell of; None where they tell of no place."""
    told.sort(key=lambda row: (order_of(row.version), row.position))
    placing = [row for row in told if row.name in _PLACE_AFTER]
    if not placing:
        return None
    last = placing[-1]
    copies = [row for row in told if row.name == TaskRepublished.TOPIC]
    attempt = _awaited_attempt(last)
    copy: Any = max(copies, key=lambda row: row.copy, default=None)
    is_copied = copy is not None and copy.recorded_at > last.recorded_at and copy.attempt >= attempt
    place, due = _place(last)
    if is_copied and place in {Place.DISPATCH, Place.WORKER}:
        place = Place.QUEUE
    tier = _tier(told)
    return OpenRun(
        run_id=last.stream_id.removeprefix(run_stream("")),
        task=last.task,
        tier=tier,
        priority=tier.clamp(next((row.priority for row in reversed(told) if row.priority is not None), None)),
        place=place,
        attempt=max(attempt, copy.attempt) if is_copied else attempt,
        last=copy.name if is_copied else last.name,
        since=copy.recorded_at if is_copied else last.recorded_at,
        due=due,
        worker=last.worker,
        request_position=next((row.position for row in told if row.version == SLOT_REQUESTED), None),
        copies=copy.copy if copy is not None else 0,
        spared=sum(row.is_spared for row in told),
        resumed_position=last.position if last.name in _WAIT_ENDS else None,
    )


def _place(last: Any) -> tuple[Place, datetime | None]:
    if last.name == TaskRequested.TOPIC:
        return Place.DISPATCH, None
    if last.name == TaskWaitBegan.TOPIC:
        return Place.LOG, None
    if last.name == TaskStarted.TOPIC:
        return Place.WORKER, None
    if last.name == TaskRetryScheduled.TOPIC and last.delay_seconds > 0:
        return Place.LADDER, last.occurred_at + min(timedelta(seconds=last.delay_seconds), MAX_DELAY)
    if last.name == TaskReceived.TOPIC and last.eta is not None:
        return Place.LADDER, min(last.eta, last.occurred_at + MAX_DELAY)
    return Place.QUEUE, None


def _awaited_attempt(last: Any) -> int:
    if last.name in _NEXT_AFTER:
        return int(last.attempt) + 1
    return int(last.attempt or 1)


def _tier(told: Iterable[Any]) -> Tier:
    """What a worker or dispatch last saw it in, else what was asked for; normal where nobody says."""
    named: Iterator[Tier | None] = (
        TIER_OF_QUEUE.get(row.queue or "") or (Tier(row.tier) if row.tier in set(Tier) else None)
        for row in reversed(list(told))
    )
    return next((tier for tier in named if tier is not None), Tier.NORMAL)
