"""Tables of stories of several runs, and of the places that runs have in them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, moment, text

WORKFLOWS: Final = sa.Table(
    "workflows",
    METADATA,
    text("workflow_id", primary_key=True),
    moment("began_at"),
    text("first_task"),
    moment("first_at"),
    text("first_by"),
    text("lowest_run"),
    text("highest_run"),
    sa.Column("has_chain", sa.Boolean()),
    sa.Column("has_fan_in", sa.Boolean()),
    sa.Column("has_group", sa.Boolean()),
    sa.Column("has_bad_end", sa.Boolean()),
    text("forked_from"),
    sa.Column("forked_step", sa.Integer()),
    sa.Column("is_workflow", sa.Boolean(), server_default=sa.FetchedValue()),
)
"""``first_at`` and ``first_by`` say which run decided about ``first_task``; the lowest and the highest run, in order of
their ids, whether there are several."""

WORKFLOW_STEPS: Final = sa.Table(
    "workflow_steps",
    METADATA,
    text("run_id", primary_key=True),
    text("workflow_id"),
    moment("planned_at"),
    text("task"),
    text("chain_id"),
    sa.Column("chain_step", sa.Integer()),
    moment("grouped_at"),
    text("group_id"),
    sa.Column("member", sa.Integer()),
    sa.Column("link", sa.Integer()),
    sa.Column("branch", sa.Integer()),
    text("body_of"),
    sa.Column("body_link", sa.Integer()),
    sa.Column("wanted", sa.Integer()),
)
"""``planned_at`` and ``grouped_at`` say when those plans were told that decided about its story and its group."""
