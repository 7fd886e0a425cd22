"""Dead letters and what was done about them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, moment, text

DEAD_LETTERS: Final = sa.Table(
    "dead_letters",
    METADATA,
    text("run_id", primary_key=True),
    text("task"),
    text("reason"),
    text("queue"),
    sa.Column("priority", sa.Integer()),
    moment("dead_lettered_at"),
    text("end_state"),
    text("error_type"),
    text("error"),
    sa.Column("letter_slot", sa.BigInteger()),
    moment("ended_at"),
    text("decision"),
    moment("decided_at"),
    text("decided_by"),
    text("decision_reason"),
    sa.Column("decision_number", sa.Integer()),
    text("replay_id"),
    text("new_run_id"),
)
"""A row per run that failed; one without ``dead_lettered_at`` is no dead letter (yet)."""

REPLAYS: Final = sa.Table(
    "replays",
    METADATA,
    text("replay_id", primary_key=True),
    moment("requested_at"),
    text("requested_by"),
    text("reason"),
    text("chosen_by"),
    sa.Column("letters", sa.Integer()),
    sa.Column("is_again", sa.Boolean()),
    sa.Column("per_second", sa.Double()),
    sa.Column("priority", sa.Integer()),
    text("edit"),
    moment("finished_at"),
    sa.Column("replayed", sa.Integer()),
    sa.Column("left_out", sa.Integer()),
)
"""A row per batch of replays; one without ``requested_at`` has only been heard to finish."""

REPLAYED_RUNS: Final = sa.Table(
    "replayed_runs",
    METADATA,
    text("replay_id", primary_key=True),
    text("run_id", primary_key=True),
    text("new_run_id"),
    text("task"),
    moment("replayed_at"),
    text("replayed_by"),
    sa.Column("generation", sa.Integer()),
    sa.Column("priority", sa.Integer()),
    text("patch"),
)
"""A row per dead letter and batch that replayed it."""

INGEST_DEAD_LETTERS: Final = sa.Table(
    "ingest_dead_letters",
    METADATA,
    text("message_id", primary_key=True),
    text("reason"),
    text("detail"),
    text("message_type"),
    text("source"),
    text("source_event_id"),
    text("fragment"),
    moment("dead_lettered_at"),
    text("trace_id"),
)
