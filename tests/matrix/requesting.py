"""Asking for a run the way a service does; dispatch publishes it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import msgspec

from domain.cause import derived_run_id
from domain.tier import Tier
from infra.broker.emitter import Emitter, new_event
from tests.matrix.stage import Sent, Stage


def request(stage: Stage, tier: Tier) -> Sent:
    """Ask for a run that succeeds."""
    now, trace_id = datetime.now(UTC), secrets.token_hex(16)
    marks = stage.directory / f"{trace_id}.marks"
    asked = {"task": "deadly.succeed", "kwargs": {"marks": str(marks)}, "tier": tier.value}
    event = new_event("task.requested", source="/test", data=asked, subject="deadly.succeed", time=now)
    run_id = derived_run_id(event.unique_id, "deadly.succeed", now)
    told = msgspec.structs.replace(
        event,
        data=msgspec.Raw(msgspec.json.encode({**asked, "run_id": run_id})),
        traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-01",
    )
    with Emitter(stage.settings, role="test") as emitter:
        emitter.emit(told)
    return Sent(str(run_id), trace_id, marks)
