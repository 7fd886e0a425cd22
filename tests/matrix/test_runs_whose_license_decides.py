"""Runs of a license that is suspended or revoked, wherever they are: one test for each row of docs/failures.md."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace

from domain.tier import Tier
from infra.broker.emitter import Emitter
from infra.cloudevents.making import new_event
from tests.matrix.expecting import AGAIN, Why, expect
from tests.matrix.stage import SECONDS, Sent, Stage
from tests.matrix.test_workers_that_die import until_it_runs
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.timeout(300)]

REVOKED = Why("LicenseRevoked", "has been revoked")
STANDS = "select event_id::text from event_store.licensing_events where stream_id = %s and name = %s"
ASKED = "select count(*) from analytics.fct_revocations where run_id = any(%s) and requested_by = 'policy:end_its_work'"


@pytest.fixture
def dispatching(stage: Stage) -> Iterator[Stage]:
    stage.start("dispatch")
    yield stage
    stage.processes["dispatch"].kill()


def ask(stage: Stage, question: str, *values: Any) -> Any:
    with psycopg.connect(stage.settings.database_url.get_secret_value(), autocommit=True) as connection:
        row = connection.execute(question.encode(), list(values)).fetchone()
    return row[0] if row else None


class Holder:
    """A service that has a license issued and asks for runs that name it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.license_id = f"lic-{uuid4()}"
        term = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        self.tell("license.issued", valid_until=term)

    def tell(self, name: str, **data: Any) -> str:
        """What happens to the license; the id of the event, once it is stored."""
        self._emit(name, license_id=self.license_id, **data)
        return str(eventually(lambda: ask(self.stage, STANDS, f"license-{self.license_id}", name), seconds=SECONDS))

    def request(self, task: str, *arguments: str, tier: Tier) -> Sent:
        run_id, trace_id = str(uuid4()), secrets.token_hex(16)
        marks = self.stage.directory / f"{run_id}.marks"
        asked = {"task": task, "args": [str(marks), *arguments], "tier": tier.value, "run_id": run_id}
        self._emit(
            "task.requested", trace=f"00-{trace_id}-{secrets.token_hex(8)}-01", license_id=self.license_id, **asked
        )
        return Sent(run_id, trace_id, marks)

    def publish(self, task: str, *arguments: str, tier: Tier) -> Sent:
        """A run that a Celery client calls, past us."""
        headers = {"ledgerq-license-id": self.license_id}
        return self.stage.publish(task, *arguments, tier=tier, headers=headers)

    def _emit(self, name: str, *, trace: str | None = None, **data: Any) -> None:
        with Emitter(self.stage.settings, role="holder") as emitter:
            emitter.emit(replace(new_event(name, source="tests/holder", data=data), traceparent=trace))


def test_license_revoked_while_all_workers_are_down(dispatching: Stage) -> None:
    holder = Holder(dispatching)
    asked = [holder.request("deadly.succeed", tier=Tier.HIGH) for _ in range(5)]
    called = holder.publish("deadly.succeed", tier=Tier.HIGH)
    eventually(lambda: dispatching.depth(Tier.HIGH.queue) == 6, seconds=SECONDS)
    for each in asked:  # killed before it has recorded that, dispatch would end the run itself
        dispatching.until(each, "published")
    dispatching.processes["dispatch"].kill()
    revoked = holder.tell("license.revoked", reason="terminated")
    dispatching.start("dispatch")
    runs = [sent.run_id for sent in asked]
    eventually(lambda: ask(dispatching, ASKED, runs) == len(runs), seconds=SECONDS)  # nobody there who could execute it
    late = holder.request("deadly.succeed", tier=Tier.HIGH)
    worker = dispatching.worker(Tier.HIGH)
    for each in (*asked, called, late):
        told = expect(dispatching, each, "revoked", outcomes=["revoked"], executions=0, is_dead=False, why=REVOKED)
        assert told.attempts[0]["turned_away_by"] == revoked
    assert worker.stop() == 0
    assert dispatching.depth(Tier.HIGH.queue) == 0


def test_license_revoked_while_its_run_is_executed(dispatching: Stage, tmp_path: Path) -> None:
    holder = Holder(dispatching)
    worker = dispatching.worker(Tier.CRITICAL, concurrency=1)
    running = holder.request("deadly.wait", str(tmp_path / "never"), tier=Tier.CRITICAL)
    until_it_runs(dispatching, running, 1)
    queued = holder.request("deadly.succeed", tier=Tier.CRITICAL)
    dispatching.until(queued, "published")
    revoked = holder.tell("license.revoked", reason="terminated")
    for each, executions in ((running, 1), (queued, 0)):
        told = expect(
            dispatching, each, "revoked", outcomes=["revoked"], executions=executions, is_dead=False, why=REVOKED
        )
        assert told.attempts[0]["turned_away_by"] == revoked
    assert worker.stop() == 0
    assert dispatching.depth(Tier.CRITICAL.queue) == 0


def test_license_revoked_after_the_worker_of_its_run_was_killed(dispatching: Stage, tmp_path: Path) -> None:
    holder = Holder(dispatching)
    first = dispatching.worker(Tier.CRITICAL, concurrency=1)
    killed = holder.request("deadly.wait", str(tmp_path / "never"), tier=Tier.CRITICAL)
    until_it_runs(dispatching, killed, 1)
    first.kill()
    revoked = holder.tell("license.revoked", reason="terminated")
    second = dispatching.worker(Tier.CRITICAL, concurrency=1)
    told = dispatching.until(killed, "revoked")
    assert told.outcomes in (["revoked"], [AGAIN, "revoked"])
    assert told.attempts[-1]["turned_away_by"] == revoked
    assert killed.executions == 1
    assert second.stop() == 0
    assert dispatching.depth(Tier.CRITICAL.queue) == 0


def test_license_suspended_and_reinstated(dispatching: Stage) -> None:
    holder = Holder(dispatching)
    suspended = holder.tell("license.suspended", reason="unpaid")
    worker = dispatching.worker(Tier.LOW)
    sent = holder.request("deadly.succeed", tier=Tier.LOW)

    def is_held() -> bool:
        told = dispatching.look(sent)
        return bool(told and told.run["state"] == "held" and told.attempts[0]["deferred_by"] == suspended)

    eventually(is_held, seconds=SECONDS)
    worker.kill()
    reinstated = holder.tell("license.reinstated", reason="paid")
    dispatching.worker(Tier.LOW)
    told = expect(dispatching, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert (told.attempts[0]["deferred_by"], told.attempts[0]["admitted_by"]) == (suspended, reinstated)
