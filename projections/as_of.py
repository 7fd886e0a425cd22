"""The row of a read model as it would have been at an instant, computed from the log of the one thing it is about.

A session's heartbeats are in another log, in batches with those of others; they are looked for in the time in which the
session lived.

The folds are the projections' own, so an answer about the present is the row that the read model has once it has
caught up, and been rebuilt where it had counted an event that was skipped afterwards. What is skipped is left out: by
the time of occurrence always, by that of recording where the skip was recorded by the instant. Nothing is written, and
no read model is asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from domain.license import license_stream
from domain.session import session_stream
from domain.session_events import SessionState
from domain.task_run import run_stream
from infra.event_store import EventStore, Log, Recorded
from infra.events.as_of import AsOf, By, story_as_of
from infra.events.heard import Heard, Span, heard
from infra.moments import shifted
from projections.licenses import LicenseRow, Licenses
from projections.projection import Fold
from projections.rows import Row
from projections.sessions import SessionRow, Sessions
from projections.task_runs import RunRow, TaskRuns

EARLY: Final = timedelta(minutes=10)
"""By how much a session may be heard of before its start: the clock of who tells the start may be ahead by as much."""
LATE: Final = timedelta(days=1)
"""How much later than the instant a heartbeat of before may be recorded and still count: what an outage holds up."""


class SessionAsOf(SessionRow):
    """A session with what its heartbeats tell.

    Attributes:
        heartbeat_count: how many were newer than all before them, as the read model counts; None: it is not known, for
            some of that time have been dropped from the log.
        last_heartbeat_at: the time of the newest that counts; None also where that is not known.
    """

    heartbeat_count: int | None = 0
    last_heartbeat_at: datetime | None = None


def session_as_of(store: EventStore, session_id: str, when: AsOf | None) -> SessionAsOf | None:
    """A session by its transitions and its heartbeats; None where there was none.

    Events that are skipped are not counted, see the module. Heartbeats are those that were recorded within the
    session's life (:func:`_life`); a session of which there are heartbeats and no transition is not known.

    Args:
        store: where the logs are read.
        session_id: what services call it.
        when: the instant; None: all that is known.

    Raises:
        DatabaseUnreachableError: the database cannot serve.
        EventUnreadableError: a newer version of the code wrote one of its events, and it is not skipped.
    """
    stream = session_stream(session_id)
    row = _fold(Sessions(), story_as_of(store, Log.LICENSING, stream, when))
    found = _heard(store, session_id, when, life=_life(story_as_of(store, Log.LICENSING, stream, None)))
    if row is None and not (found and found.news):
        return None
    told = msgspec.structs.asdict(row or SessionRow(session_id))
    if found is None:
        return SessionAsOf(**told, heartbeat_count=None)
    return SessionAsOf(**told, heartbeat_count=found.news, last_heartbeat_at=found.last_at)


def license_as_of(store: EventStore, license_id: str, when: AsOf | None) -> LicenseRow | None:
    """A license; arguments and errors as of :func:`session_as_of`."""
    return _fold(Licenses(), story_as_of(store, Log.LICENSING, license_stream(license_id), when))


def run_as_of(store: EventStore, run_id: str, when: AsOf | None) -> RunRow | None:
    """A run of a task; arguments and errors as of :func:`session_as_of`."""
    return _fold(TaskRuns(), story_as_of(store, Log.TASKS, run_stream(run_id), when))


def _fold(projection: Fold[Row], story: list[Recorded]) -> Row | None:
    """The one row that a story makes; events that the projection does not follow are passed over."""
    followed = {name for names in projection.follows.values() for name in names}
    events = [recorded for recorded in story if recorded.event.name in followed]
    rows = projection.folded(events)
    return next(iter(rows.values()), None)


def _life(story: list[Recorded]) -> Span | None:
    """When heartbeats of a session may have been recorded, by all that is known of it; None: it is not known.

    From :data:`EARLY` before it started, or was said to have, until :data:`LATE` after its last transition, where that
    left it dead; a session that lives may be heard of at any time.
    """
    if not story:
        return None
    row = _fold(Sessions(), story)
    since = shifted(min(min(each.event.timestamp, each.recorded_at) for each in story), -EARLY)
    if row is None or row.state == SessionState.ACTIVE.value:
        return Span(since, None)
    return Span(since, shifted(max(max(each.event.timestamp, each.recorded_at) for each in story), LATE))


def _heard(store: EventStore, session_id: str, when: AsOf | None, *, life: Span | None) -> Heard | None:
    """What was heard of a session as of an instant.

    By the time of occurrence, a heartbeat that was recorded up to :data:`LATE` after the instant counts if it bears an
    earlier time; by that of recording, one that was recorded by then.
    """
    if life is None:
        return Heard()
    with store.transaction() as transaction:
        if when is None:
            return heard(transaction.connection, session_id, life)
        if when.by is By.RECORDED:
            known = Span(life.since, _earlier(life.until, when.instant))
            return heard(transaction.connection, session_id, known, known_by=when.instant)
        told = Span(life.since, _earlier(life.until, shifted(when.instant, LATE)))
        return heard(transaction.connection, session_id, told, upto=when.instant)


def _earlier(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)
