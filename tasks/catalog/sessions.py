"""The sweep: sessions whose heartbeats stopped lapse, and those that came back in time resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Engine

from domain.cause import Cause
from domain.session import Session, session_stream
from infra.event_store import EventStore
from projections.queries import LapseCandidate, ResumeCandidate, lapse_candidates, resume_candidates
from tasks.app import task
from tasks.catalog.candidates import in_batches
from tasks.catalog.judging import Judge, Judgement, Outcome, Question
from tasks.catalog.reading import read_models
from tasks.catalog.run_cause import run_cause
from tasks.catalog.winning import SeatSieve
from tasks.wiring import wiring

BATCH: Final = 500

Candidate = TypeVar("Candidate", LapseCandidate, ResumeCandidate)


class Sweep(NamedTuple):
    """What a sweep found and did.

    Attributes:
        lapses: what came of the sessions that seemed silent.
        returns: what came of the lapsed sessions that seemed to have come back.
    """

    lapses: Judgement
    returns: Judgement


def sweep(store: EventStore, engine: Engine, *, cause: Cause, window: timedelta, batch: int = BATCH) -> Sweep:
    """Let every silent session lapse as of its last heartbeat, and every one that came back in time resume.

    The read model suggests sessions, each session decides. Any number of sweeps at once give the same as one.

    Args:
        store: the event store.
        engine: of the database with the read models.
        cause: what the sweep runs for.
        window: how long after its lapse a session may resume.
        batch: sessions judged and stored at once.
    """

    def judge(look: Callable[..., Sequence[Candidate]], question: Callable[[Candidate], Question]) -> Judgement:
        def look_at(limit: int) -> Sequence[Candidate]:
            with read_models(engine) as connection:
                return look(connection, limit=limit)

        judging = Judge(store, cause, sieve=SeatSieve(cause))
        for candidates in in_batches(look_at, key=lambda candidate: candidate.session_id, size=batch):
            judging.ask({session_stream(candidate.session_id): question(candidate) for candidate in candidates})
        return judging.judgement

    return Sweep(
        lapses=judge(lapse_candidates, _has_lapsed),
        returns=judge(partial(resume_candidates, window=window), lambda candidate: _has_returned(candidate, window)),
    )


def _has_lapsed(candidate: LapseCandidate) -> Callable[[Session], bool]:
    return lambda session: session.lapse(last_heartbeat_at=candidate.last_heartbeat_at, judged_at=candidate.judged_at)


def _has_returned(candidate: ResumeCandidate, window: timedelta) -> Callable[[Session], bool]:
    return lambda session: session.resume(heartbeat_at=candidate.heartbeat_at, window=window)


@task("cleanup_zombie_sessions", bind=True)
def cleanup_zombie_sessions(self: Any, *, batch: int = BATCH) -> dict[str, float]:
    """Let silent sessions lapse, ended at their last heartbeat; resume those that came back.

    Args:
        self: the Celery task.
        batch: sessions judged and stored at once.

    Returns:
        ``found`` silent sessions, ``cleaned`` ones among them (another sweep may have come first), ``resumed`` ones,
        ``refused`` ones (suggested by a read model that was behind, or without a seat), ``errors`` and
        ``duration_seconds``.
    """
    began = time.monotonic()
    wired = wiring()
    cause = run_cause(self, at=datetime.now(UTC))
    window = timedelta(seconds=wired.settings.resurrection_window_seconds)
    lapses, returns = sweep(wired.store, wired.engine, cause=cause, window=window, batch=batch)
    return {
        "found": lapses.outcomes.total(),
        "cleaned": lapses.outcomes[Outcome.CHANGED],
        "resumed": returns.outcomes[Outcome.CHANGED],
        "refused": returns.outcomes[Outcome.REFUSED],
        "errors": lapses.outcomes[Outcome.FAILED] + returns.outcomes[Outcome.FAILED],
        "duration_seconds": round(time.monotonic() - began, 3),
    }
