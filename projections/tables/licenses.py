"""Licenses, what became of them, and their seats."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, count, moment, seconds, text

LICENSES: Final = sa.Table(
    "licenses",
    METADATA,
    text("license_id", primary_key=True),
    text("state"),
    text("state_reason"),
    moment("state_changed_at"),
    text("suspended_because"),
    text("holder_email"),
    sa.Column("seats", sa.Integer()),
    seconds("patience_seconds"),
    moment("issued_at"),
    moment("term_began_at"),
    moment("valid_until"),
    count("renewals"),
    sa.Column("last_notice_days", sa.Integer()),
    moment("next_due_at"),
    count("notices_sent"),
    moment("last_notice_sent_at"),
    text("holder"),
    text("policy"),
    seconds("heartbeat_interval_seconds"),
    text("monitoring_starts"),
    text("on_lapse"),
    text("resurrection"),
    text("expiry"),
    text("overage"),
    text("entitlements"),
)
"""``entitlements``: their names with commas between them, which no name has; empty where there are none."""

LICENSE_ENTITLEMENTS: Final = sa.Table(
    "license_entitlements",
    METADATA,
    text("license_id", primary_key=True),
    text("entitlement", primary_key=True),
    sa.Column("is_attached", sa.Boolean()),
    moment("attached_at"),
    text("attached_by"),
    text("attach_reason"),
    moment("detached_at"),
    text("detached_by"),
    text("detach_reason"),
)

LICENSE_CHANGES: Final = sa.Table(
    "license_changes",
    METADATA,
    text("license_id", primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True),
    text("field", primary_key=True),
    text("change", nullable=False),
    moment("changed_at", nullable=False),
    moment("recorded_at", nullable=False),
    text("before"),
    text("after"),
    text("actor"),
    text("reason"),
    text("event_id", nullable=False),
)

SEAT_DENIALS: Final = sa.Table(
    "seat_denials",
    METADATA,
    text("denial_id", primary_key=True),
    text("license_id"),
    text("session_id"),
    text("wish"),
    text("reason"),
    sa.Column("seats", sa.Integer()),
    sa.Column("seat_limit", sa.BigInteger()),
    sa.Column("seats_taken", sa.Integer()),
    text("host"),
    moment("denied_at"),
    moment("recorded_at"),
)
