"""The sweep: sessions whose heartbeats stopped lapse, and those that came back in time resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Engine

from domain.blindness import BlindWindow
from domain.cause import Cause
from domain.session import Session, session_stream
from domain.session_events import SessionLapsed, SessionResumed
from infra.event_store import EventStore
from projections.queries import SilentSession, blind_windows, silent_sessions
from tasks.app import task
from tasks.catalog.candidates import in_batches
from tasks.catalog.judging import Judge, Judgement, Outcome
from tasks.catalog.reading import read_models
from tasks.catalog.run_cause import run_cause
from tasks.catalog.winning import SeatSieve
from tasks.wiring import wiring

BATCH: Final = 500


def sweep(store: EventStore, engine: Engine, *, cause: Cause, batch: int = BATCH) -> Judgement:
    """Let every silent session lapse as of its last heartbeat, and every one that came back in time resume.

    The read model suggests sessions, each session decides. Silences that are over are judged like one that goes on,
    each by log time as it was: it makes no difference how many sweeps look, nor when, nor whether none did for days.

    Args:
        store: the event store.
        engine: of the database with the read models.
        cause: what the sweep runs for.
        batch: sessions judged and stored at once.
    """
    blind: list[BlindWindow] = []

    def look(limit: int) -> Sequence[SilentSession]:
        with read_models(engine) as connection:
            found = silent_sessions(connection, limit=limit)
            blind[:] = blind_windows(connection)
        return found

    heard: dict[str, datetime | None] = {}
    judge = Judge(store, cause, sieve=SeatSieve(cause, heard=heard))
    for silent in in_batches(look, key=lambda each: each.session_id, size=batch):
        heard.clear()
        heard.update({session_stream(each.session_id): each.silences[-1].last_heartbeat_at for each in silent})
        judge.ask({session_stream(each.session_id): _judges(each, tuple(blind)) for each in silent})
    return judge.judgement


def _judges(silent: SilentSession, blind: Sequence[BlindWindow]) -> Callable[[Session], None]:
    def question(session: Session) -> None:
        for silence in silent.silences:
            session.judge(silence, blind=blind)

    return question


@task("cleanup_zombie_sessions", bind=True)
def cleanup_zombie_sessions(self: Any, *, batch: int = BATCH) -> dict[str, float]:
    """Let silent sessions lapse, each as of its last heartbeat; resume those that came back.

    Args:
        self: the Celery task.
        batch: sessions judged and stored at once.

    Returns:
        ``found`` sessions that seemed silent or back, ``cleaned``: lapses recorded (another sweep may have come first),
        ``resumed``: returns recorded, ``errors`` and ``duration_seconds``.
    """
    began = time.monotonic()
    wired = wiring()
    cause = run_cause(self, at=datetime.now(UTC))
    judgement = sweep(wired.store, wired.engine, cause=cause, batch=batch)
    return {
        "found": judgement.outcomes.total(),
        "cleaned": judgement.recorded[SessionLapsed.TOPIC],
        "resumed": judgement.recorded[SessionResumed.TOPIC],
        "errors": judgement.outcomes[Outcome.FAILED],
        "duration_seconds": round(time.monotonic() - began, 3),
    }
