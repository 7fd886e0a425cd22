"""The calendar of licenses: notices that come due before the end of a term, and the end itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Engine

from domain.cause import Cause
from domain.license import License, license_stream
from domain.license_events import LicenseExpired, LicenseExpiringSoon
from domain.license_term import EXPIRY_NOTICE_DAYS
from infra.event_store import EventStore
from projections.queries import licenses_to_judge, log_time
from tasks.app import task
from tasks.catalog.candidates import in_batches
from tasks.catalog.judging import Judge, Judgement, Outcome
from tasks.catalog.reading import read_models
from tasks.catalog.run_cause import run_cause
from tasks.wiring import wiring

BATCH: Final = 100


def check_terms(store: EventStore, engine: Engine, *, cause: Cause, now: datetime) -> Judgement:
    """Let every license record what the calendar has brought by ``now``; each thing happens once a term.

    Args:
        store: the event store.
        engine: of the database with the read models.
        cause: what the check runs for.
        now: up to when the calendar is judged, UTC: not after log time, or a renewal could wait in the broker.
    """

    def look(limit: int) -> Sequence[str]:
        with read_models(engine) as connection:
            return licenses_to_judge(connection, now=now, horizon_days=max(EXPIRY_NOTICE_DAYS), limit=limit)

    def question(license_: License) -> None:
        license_.judge_term(now=now)

    judge = Judge(store, cause)
    for license_ids in in_batches(look, key=str, size=BATCH):
        judge.ask({license_stream(license_id): question for license_id in license_ids})
    return judge.judgement


def judged_until(engine: Engine, *, clock: datetime) -> datetime:
    """Up to when the calendar can be judged: log time, as far as there is one, and never later than ``clock``.

    A renewal that was sent before the end of the term and still waits in the broker is not overlooked: while ingest is
    down or behind, no license expires.
    """
    with read_models(engine) as connection:
        return min(log_time(connection) or clock, clock)


@task("check_license_expirations", bind=True)
def check_license_expirations(self: Any) -> dict[str, float]:
    """Record the licenses that are 30, 7 or 1 days from their end and those that have reached it, in log time.

    Returns:
        ``found`` licenses with something due, ``expiring_soon`` and ``expired`` facts recorded (another check may have
        come first), ``errors`` and ``duration_seconds``. The e-mails follow from the facts.
    """
    began = time.monotonic()
    wired = wiring()
    clock = datetime.now(UTC)
    now = judged_until(wired.engine, clock=clock)
    judgement = check_terms(wired.store, wired.engine, cause=run_cause(self, at=clock), now=now)
    return {
        "found": judgement.outcomes.total(),
        "expiring_soon": judgement.recorded[LicenseExpiringSoon.TOPIC],
        "expired": judgement.recorded[LicenseExpired.TOPIC],
        "errors": judgement.outcomes[Outcome.FAILED],
        "duration_seconds": round(time.monotonic() - began, 3),
    }
