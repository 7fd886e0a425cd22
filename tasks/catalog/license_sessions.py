"""The sessions of a license whose policy ends them: they end when it expires."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine

from domain.cause import Cause
from domain.session import Session, SessionState, session_stream
from infra.event_store import EventStore
from projections.queries import StillBehindError, open_sessions, wait_for_sessions
from tasks.app import task
from tasks.catalog.candidates import in_batches
from tasks.catalog.judging import Judge, Judgement, Outcome
from tasks.catalog.reading import read_models
from tasks.catalog.run_cause import run_cause
from tasks.wiring import wiring
from tasks.worker.snooze import Snooze

BATCH: Final = 500
REASON: Final = "license expired"
PATIENCE: Final = timedelta(seconds=10)
"""How long the task waits for a read model that is behind before it puts itself off for as long."""


def end_sessions(store: EventStore, engine: Engine, license_id: str, *, at: datetime, cause: Cause) -> Judgement:
    """Let every session of a license end that had started before a moment and is open still.

    An active one ends at that moment. A lapsed one ends for good at its last heartbeat, as it counted already.

    Args:
        store: the event store.
        engine: of the database with the read models; they have to know every session that started before ``at``.
        license_id: whose sessions.
        at: when the use of the license ended.
        cause: what they end for.
    """

    def look(limit: int) -> Sequence[str]:
        with read_models(engine) as connection:
            return open_sessions(connection, license_id, started_before=at, limit=limit)

    judge = Judge(store, cause)
    for session_ids in in_batches(look, key=str, size=BATCH):
        judge.ask({session_stream(session_id): _ends(at) for session_id in session_ids})
    return judge.judgement


def _ends(at: datetime) -> Callable[[Session], None]:
    def question(session: Session) -> None:
        if session.state is SessionState.ENDED:
            return
        lapsed_at = session.ended_at if session.state is SessionState.LAPSED else None
        session.end(reason=REASON, at=lapsed_at or at)

    return question


@task("end_license_sessions", bind=True)
def end_license_sessions(self: Any, *, license_id: str, at: str) -> dict[str, float]:
    """End the sessions of a license whose policy asks for that when it expires.

    Args:
        self: the Celery task.
        license_id: whose sessions.
        at: when the use of the license ended, ISO 8601.

    Returns:
        ``ended`` sessions, those ``found`` that had ended meanwhile included, ``errors`` and ``duration_seconds``.

    Raises:
        Snooze: the read model of sessions is behind the log.
    """
    began = time.monotonic()
    wired = wiring()
    with read_models(wired.engine) as connection:
        try:
            wait_for_sessions(connection, within=PATIENCE)
        except StillBehindError as error:
            raise Snooze(PATIENCE, str(error)) from error
    cause = run_cause(self, at=datetime.now(UTC))
    judgement = end_sessions(wired.store, wired.engine, license_id, at=datetime.fromisoformat(at), cause=cause)
    return {
        "found": judgement.outcomes.total(),
        "ended": judgement.outcomes[Outcome.CHANGED],
        "errors": judgement.outcomes[Outcome.FAILED],
        "duration_seconds": round(time.monotonic() - began, 3),
    }
