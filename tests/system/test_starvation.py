"""The starvation guard, whole: a run of low priority gets its turn while more urgent ones keep coming."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from domain.cause import derived_run_id
from infra.broker.emitter import Emitter
from infra.cloudevents import CloudEvent, new_event
from infra.local.platform import Platform, platform
from infra.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PACE = {
    "LEDGERQ_STARVATION_AFTER_SECONDS": "2",
    "LEDGERQ_STARVATION_INTERVAL_SECONDS": "1",
    "LEDGERQ_WATERMARK_INTERVAL_SECONDS": "0.5",
    "LEDGERQ_WORKER_AHEAD_MS": "0",
}
DURATION_MS = 250
WAITING_AT_LEAST = 20
"""So many urgent runs wait at any moment."""
STARTS = """
    select (select first_started_at from analytics.fct_task_runs where run_id = %(starved)s) as starved,
           count(*) filter (where tier = 'low' and run_id <> %(starved)s) as asked,
           count(first_started_at) filter (where tier = 'low' and run_id <> %(starved)s) as begun,
           count(*) filter (where attempt_count > 1) as repeated
    from analytics.fct_task_runs
"""


def request(*, priority: int) -> tuple[str, CloudEvent]:
    now = datetime.now(UTC)
    data = {"task": "sample.work", "kwargs": {"duration_ms": DURATION_MS}, "tier": "low", "priority": priority}
    named = new_event("task.requested", source="/test", data=data, subject="sample.work", time=now)
    run_id = str(derived_run_id(named.unique_id, "sample.work", now))
    event = new_event(
        "task.requested", source="/test", data={**data, "run_id": run_id}, subject="sample.work", time=now
    )
    return run_id, event


def test_a_starving_run_is_raised_and_begins_while_more_urgent_ones_keep_coming(
    servers: Settings, tmp_path: Path
) -> None:
    settings = servers.model_copy(update={"state_dir": tmp_path})
    with platform(settings, label="starve", tell=lambda _line: None, pace=PACE) as built:
        built.start()
        built.wait_until_ready()
        starved, passed = lived_through(built)
    assert starved, "it never began"
    assert passed > WAITING_AT_LEAST, "too few passed it for that to be the guard's doing"


def lived_through(built: Platform) -> tuple[bool, int]:
    """Keep urgent runs coming until the run of low priority has begun; whether it did, and how many passed it."""
    deadline = time.monotonic() + 150
    url = built.sandbox.database_url
    with Emitter(built.settings, role="test") as emitter, psycopg.connect(url, autocommit=True) as database:
        emitter.emit_all([event for _, event in (request(priority=1) for _ in range(2 * WAITING_AT_LEAST))])
        starved, event = request(priority=0)
        emitter.emit(event)
        while time.monotonic() < deadline:
            built.supervisor.look()
            row = database.execute(STARTS.encode(), {"starved": starved}).fetchone()
            assert row is not None
            began_at, asked, begun, repeated = row
            assert not repeated
            if began_at is not None:
                return True, begun
            missing = WAITING_AT_LEAST + begun - asked
            if missing > 0:
                emitter.emit_all(
                    [event for _, event in (request(priority=1) for _ in range(missing + WAITING_AT_LEAST))]
                )
            time.sleep(0.2)
        return False, begun
