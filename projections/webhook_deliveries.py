"""Webhook deliveries: what came of each attempt to tell an endpoint of an event?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.webhook_delivery import (
    ATTEMPTED_NAMES,
    DeliveryAttempted,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryWithheld,
    delivery_stream,
)
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key

OUTCOMES = {DeliverySucceeded: "succeeded", DeliveryFailed: "failed", DeliveryWithheld: "withheld"}


class DeliveryRow(msgspec.Struct):
    """A row of ``read_model.webhook_deliveries``."""

    delivery_id: str
    number: int
    endpoint: str | None = None
    outcome: str | None = None
    attempted_at: datetime | None = None
    event_log: str | None = None
    event_stream: str | None = None
    event_version: int | None = None
    event_name: str | None = None
    run_id: str | None = None
    attempt: int | None = None
    url: str | None = None
    status_code: int | None = None
    duration_seconds: float | None = None
    error_type: str | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None


class WebhookDeliveries(Fold[DeliveryRow]):
    """One row per attempt."""

    name = "webhook_deliveries"
    question = "What came of each attempt to tell an endpoint of an event?"
    follows: ClassVar = {Log.LICENSING: ATTEMPTED_NAMES}
    begun_by: ClassVar = ATTEMPTED_NAMES
    table: ClassVar[sa.Table] = tables.WEBHOOK_DELIVERIES
    shape = DeliveryRow

    def key(self, event: Event) -> Key:
        """The attempt: its place in the delivery's stream."""
        return (event.originator_id.removeprefix(delivery_stream("")), event.originator_version)

    def fold(self, row: DeliveryRow, recorded: Recorded) -> None:
        """Take over what the event says."""
        event = recorded.event
        if not isinstance(event, DeliveryAttempted | DeliveryWithheld):
            raise TypeError(f"{event.TOPIC} is no attempt of a delivery")
        row.outcome, row.attempted_at = OUTCOMES[type(event)], event.timestamp
        for name in ("endpoint", "event_log", "event_stream", "event_version", "event_name", "run_id", "attempt"):
            setattr(row, name, getattr(event, name))
        if isinstance(event, DeliveryWithheld):
            row.error_type, row.error = "Withheld", event.because
            return
        row.url, row.status_code, row.duration_seconds = event.url, event.status_code, event.duration_seconds
        if isinstance(event, DeliveryFailed):
            row.error_type, row.error, row.next_attempt_at = event.error_type, event.error, event.next_attempt_at
