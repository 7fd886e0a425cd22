"""E-mails to people."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, count, moment, text

NOTICES: Final = sa.Table(
    "notices",
    METADATA,
    text("notice_id", primary_key=True),
    text("template"),
    text("cause"),
    text("license_id"),
    text("state"),
    sa.Column("outcome_slot", sa.BigInteger()),
    moment("last_outcome_at"),
    moment("sent_at"),
    text("recipient"),
    text("message_id"),
    sa.Column("reply_code", sa.Integer()),
    text("reply"),
    text("reason"),
    text("detail"),
    text("run_id"),
    sa.Column("attempt", sa.Integer()),
    count("refusals"),
    count("failures"),
)
"""``outcome_slot`` says which outcome counts, so that a notice is the same in whatever order its events came."""
