"""An accepted run becomes a message that says everything a worker has to know."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from celery import Celery
from celery.app.amqp import AMQP

from tasks.dispatch import spans
from tasks.dispatch.celery_message import UnpublishableError, celery_message
from tests.infra.tracing.broken import BrokenTracer
from tests.tasks.dispatch.recorded import NOW, recorded, requested


def test_the_run_id_is_celerys_task_id() -> None:
    run_id = uuid4()
    message = celery_message(recorded(requested(run_id=run_id)))
    assert message.headers["id"] == message.headers["root_id"] == message.correlation_id == str(run_id)


def test_the_headers_are_those_that_celery_itself_writes() -> None:
    celerys = AMQP(Celery("any", set_as_current=False)).as_task_v2("id", "a.task", (), {})
    ours = celery_message(recorded(requested())).headers
    assert set(celerys.headers) <= set(ours)
    assert {name: ours[name] for name in celerys.headers if celerys.headers[name] is None} == {
        name: None for name in celerys.headers if celerys.headers[name] is None
    }


def test_the_body_is_json_of_arguments_and_embed() -> None:
    message = celery_message(recorded(requested(args=(1, "zwei"), kwargs={"three": [3.0, None]})))
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert json.loads(message.body) == [[1, "zwei"], {"three": [3.0, None]}, embed]
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")


@pytest.mark.parametrize(
    ("tier", "asked", "priority"),
    [("critical", None, 5), ("critical", 10, 10), ("high", 10, 8), ("normal", 4, 4), ("low", None, 1), ("low", 9, 2)],
)
def test_the_priority_is_one_that_the_tiers_queue_can_order_by(tier: str, asked: int | None, priority: int) -> None:
    message = celery_message(recorded(requested(tier=tier, priority=asked)))
    assert (message.exchange, message.routing_key, message.priority) == ("tasks", f"tasks.{tier}", priority)
    assert message.persistent


def test_the_first_attempt_carries_its_story_in_headers() -> None:
    event_id = uuid4()
    seen = recorded(
        requested(license_id="lic-1"), event_id=event_id, correlation_id="story", traceparent="00-aa-bb-01", tenant="t1"
    )
    message = celery_message(seen)
    ours = {name: value for name, value in message.headers.items() if "ledgerq" in name or name == "traceparent"}
    assert ours == {
        "ledgerq-attempt": 1,
        "ledgerq-correlation-id": "story",
        "ledgerq-causation-id": str(event_id),
        "ledgerq-license-id": "lic-1",
        "ledgerq-tenant": "t1",
        "traceparent": "00-aa-bb-01",
    }


def test_what_is_not_known_is_not_in_the_headers() -> None:
    assert "traceparent" not in celery_message(recorded(requested())).headers


def test_a_run_that_has_expired_is_published_with_its_expiry_for_the_worker_to_record() -> None:
    message = celery_message(recorded(requested(expires_at=NOW - timedelta(hours=1))))
    assert message.headers["expires"] == "2026-06-01T11:00:00+00:00"


def test_long_arguments_are_cut_in_what_people_read() -> None:
    message = celery_message(recorded(requested(kwargs={"text": "x" * 5000})))
    assert len(message.headers["kwargsrepr"]) == 1024


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"task": "ä" * 128}, "task name: 256 bytes"),
        ({"tier": "urgent"}, "tier 'urgent' is none of critical, high, normal, low"),
        ({"kwargs": {"text": "x" * 16 * 1024 * 1024}}, "arguments"),
    ],
)
def test_what_no_broker_could_carry_is_refused_with_the_reason(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(UnpublishableError, match=reason):
        celery_message(recorded(requested(**fields)))  # type: ignore[arg-type]


def test_no_fault_of_tracing_keeps_a_run_from_being_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "current", BrokenTracer)
    message = celery_message(recorded(requested(), correlation_id="story", traceparent="00-aa-bb-01"))
    assert message.headers["traceparent"] == "00-aa-bb-01"
