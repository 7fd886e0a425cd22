"""Tables of webhook endpoints and of what was sent to them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, moment, seconds, text

WEBHOOK_ENDPOINTS: Final = sa.Table(
    "webhook_endpoints",
    METADATA,
    text("endpoint", primary_key=True),
    text("state"),
    text("url"),
    text("patterns"),
    text("description"),
    sa.Column("generation", sa.Integer()),
    moment("registered_at"),
    moment("began_failing_at"),
    text("disabled_because"),
    text("disabled_detail"),
    moment("changed_at"),
    text("changed_by"),
)

WEBHOOK_DELIVERIES: Final = sa.Table(
    "webhook_deliveries",
    METADATA,
    text("delivery_id", primary_key=True),
    sa.Column("number", sa.BigInteger(), primary_key=True),
    text("endpoint"),
    text("outcome"),
    moment("attempted_at"),
    text("event_log"),
    text("event_stream"),
    sa.Column("event_version", sa.BigInteger()),
    text("event_name"),
    text("run_id"),
    sa.Column("attempt", sa.Integer()),
    text("url"),
    sa.Column("status_code", sa.Integer()),
    seconds("duration_seconds"),
    text("error_type"),
    text("error"),
    moment("next_attempt_at"),
)
