"""Webhook endpoints: who is told of which events, and how does that go?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.webhook import WebhookState, webhook_stream
from domain.webhook_events import (
    ENDPOINT_NAMES,
    WebhookBeganFailing,
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRecovered,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
)
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class EndpointRow(msgspec.Struct):
    """A row of ``read_model.webhook_endpoints``."""

    endpoint: str
    state: str | None = None
    url: str | None = None
    patterns: str | None = None
    description: str | None = None
    generation: int | None = None
    registered_at: datetime | None = None
    began_failing_at: datetime | None = None
    disabled_because: str | None = None
    disabled_detail: str | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None


class WebhookEndpoints(Fold[EndpointRow]):
    """One row per endpoint, as it was left by what happened to it last."""

    name = "webhook_endpoints"
    question = "Who is told of which events, and does it arrive?"
    follows: ClassVar = {Log.LICENSING: ENDPOINT_NAMES}
    table: ClassVar[sa.Table] = tables.WEBHOOK_ENDPOINTS
    shape = EndpointRow

    def key(self, event: Event) -> Key:
        """The endpoint."""
        return (event.originator_id.removeprefix(webhook_stream("")),)

    def fold(self, row: EndpointRow, recorded: Recorded) -> None:
        """Take over what happened."""
        event = recorded.event
        match event:
            case WebhookRegistered():
                row.registered_at, row.generation = event.timestamp, event.generation
                _activate(row)
            case WebhookDisabled():
                row.state = WebhookState.DISABLED.value
                row.disabled_because, row.disabled_detail = event.because.value, event.detail
            case WebhookEnabled():
                _activate(row)
            case WebhookRemoved():
                row.state, row.began_failing_at = WebhookState.REMOVED.value, None
            case WebhookSecretRotated():
                row.generation = event.generation
            case WebhookBeganFailing():
                row.began_failing_at = event.timestamp
            case WebhookRecovered():
                row.began_failing_at = None
        if isinstance(event, WebhookRegistered | WebhookChanged):
            row.url, row.description = event.terms.url, event.terms.description
            row.patterns = ", ".join(event.terms.patterns)
        row.changed_at, row.changed_by = event.timestamp, recorded.metadata.get("actor")


def _activate(row: EndpointRow) -> None:
    row.state = WebhookState.ACTIVE.value
    row.began_failing_at = row.disabled_because = row.disabled_detail = None
