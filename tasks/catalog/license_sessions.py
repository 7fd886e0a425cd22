"""The sessions of a license that is revoked, or expires under a policy that ends them then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine

from domain.aggregate import replay
from domain.cause import Cause
from domain.license import License, license_stream
from domain.session import Session, session_stream
from domain.session_events import SessionState
from infra.event_store import EventStore, Log
from projections.queries import StillBehindError, open_sessions, wait_for_sessions
from tasks.app import task
from tasks.catalog.candidates import in_batches
from tasks.catalog.judging import Judge, Judgement, Outcome
from tasks.catalog.reading import read_models
from tasks.catalog.run_cause import run_cause
from tasks.wiring import wiring
from tasks.worker.snooze import Snooze

BATCH: Final = 500
PATIENCE: Final = timedelta(seconds=10)
"""How long the task waits for a read model that is behind before it puts itself off for as long."""


class SessionsNotEndedError(Exception):
    """Sessions that are to end could not be judged; the text says how many."""


def end_sessions(
    store: EventStore, engine: Engine, license_id: str, *, at: datetime, reason: str, cause: Cause
) -> Judgement:
    """Let every session end that is open under a license although nothing may be since a moment.

    Where the license was renewed meanwhile, those that had started before that moment end. An active session ends at
    that moment, or at its start where that was told late; a lapsed one for good at its last heartbeat, as it counted.

    Args:
        store: the event store.
        engine: of the database with the read models; they have to know every session that was started.
        license_id: whose sessions.
        at: when the use of the license ended.
        reason: why, as the sessions are to say.
        cause: what they end for.
    """
    stream = license_stream(license_id)
    license_ = replay(store.load(Log.LICENSING, [stream]).get(stream, []))
    ends_all = isinstance(license_, License) and license_.ends_its_use

    def look(limit: int) -> Sequence[str]:
        with read_models(engine) as connection:
            started_before = None if ends_all else at
            return open_sessions(connection, license_id, at=at, started_before=started_before, limit=limit)

    judge = Judge(store, cause)
    for session_ids in in_batches(look, key=str, size=BATCH):
        judge.ask({session_stream(session_id): _ends(at, reason) for session_id in session_ids})
    return judge.judgement


def _ends(at: datetime, reason: str) -> Callable[[Session], None]:
    def question(session: Session) -> None:
        if session.state is SessionState.ENDED:
            return
        lapsed_at = session.ended_at if session.state is SessionState.LAPSED else None
        session.end(reason=reason, at=lapsed_at or max(at, session.started_at))

    return question


@task("end_license_sessions", bind=True)
def end_license_sessions(self: Any, *, license_id: str, at: str, reason: str = "license expired") -> dict[str, float]:
    """End the open sessions of a license whose use has ended: it was revoked, or its policy ends them when it expires.

    Args:
        self: the Celery task.
        license_id: whose sessions.
        at: when the use of the license ended, ISO 8601.
        reason: why, as the sessions are to say.

    Returns:
        ``ended`` sessions, those ``found`` that had ended meanwhile included, ``errors``: none, and
        ``duration_seconds``.

    Raises:
        Snooze: the read model of sessions is behind the log.
        SessionsNotEndedError: some could not be ended, all others were; nothing asks for this again but a retry.
    """
    began = time.monotonic()
    wired = wiring()
    with read_models(wired.engine) as connection:
        try:
            wait_for_sessions(connection, within=PATIENCE)
        except StillBehindError as error:
            raise Snooze(PATIENCE, str(error)) from error
    cause = run_cause(self, at=datetime.now(UTC))
    ended_at = datetime.fromisoformat(at)
    judgement = end_sessions(wired.store, wired.engine, license_id, at=ended_at, reason=reason, cause=cause)
    if failed := judgement.outcomes[Outcome.FAILED]:
        raise SessionsNotEndedError(f"{failed:,} of {judgement.outcomes.total():,} sessions of license {license_id}")
    return {
        "found": judgement.outcomes.total(),
        "ended": judgement.outcomes[Outcome.CHANGED],
        "errors": judgement.outcomes[Outcome.FAILED],
        "duration_seconds": round(time.monotonic() - began, 3),
    }
