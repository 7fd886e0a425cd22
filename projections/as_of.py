"""The row of a read model as it would have been at an instant, computed from the log of the one thing it is about.

The folds are the projections' own, so an answer about the present is the row that the read model has once it has
caught up, and been rebuilt where it had counted an event that was skipped afterwards. What is skipped is left out: by
the time of occurrence always, by that of recording where the skip was recorded by the instant. Nothing is written, and
no read model is asked.
"""

from __future__ import annotations

from domain.license import license_stream
from domain.session import session_stream
from domain.task_run import run_stream
from infra.event_store import EventStore, Log, Recorded
from infra.events.as_of import AsOf, story_as_of
from projections.licenses import LicenseRow, Licenses
from projections.projection import Fold
from projections.rows import Row
from projections.sessions import SessionRow, Sessions
from projections.task_runs import RunRow, TaskRuns


def session_as_of(store: EventStore, session_id: str, when: AsOf | None) -> SessionRow | None:
    """A session by its transitions; None where there was none. Heartbeats are in another log and are not counted.

    Nor are events that are skipped, see the module.

    Args:
        store: where the log is read.
        session_id: what services call it.
        when: the instant; None: all that is known.

    Raises:
        DatabaseUnreachableError: the database cannot serve.
        EventUnreadableError: a newer version of the code wrote one of its events, and it is not skipped.
    """
    return _fold(Sessions(), story_as_of(store, Log.LICENSING, session_stream(session_id), when))


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
