"""Drafts: a second set of one projection's tables, filled from the log while the live ones are served and kept.

A draft has the names of the live tables in a schema of its own, and checkpoints of its own. The code that fills it is
the code that keeps the live tables, on a connection that finds them in the other schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from infra.event_store import Checkpoint, Log
from projections.counted_skips import counted_skips, forget_counted
from projections.projection import Projection
from projections.tables import SCHEMA

DRAFT_SCHEMA: Final = "read_model_draft"
_MAKE: Final = SQL("create table {draft} (like {live} including all)")
_DROP: Final = SQL("drop table if exists {draft}")
_BEGIN: Final = """
    insert into read_model_draft.drafts (projection, state, changed_by) values (%s, 'filling', %s)
"""
_FIND: Final = (
    "select state, began_at, changed_at, changed_by, reason from read_model_draft.drafts where projection = %s"
)
_NOTE: Final = """
    update read_model_draft.drafts
    set state = %s, changed_by = %s, reason = %s, differences = %s, changed_at = now()
    where projection = %s
"""
_SHAPE: Final = """
    select attname, format_type(atttypid, atttypmod), attgenerated from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attname
"""


class DraftRefusedError(Exception):
    """What was asked of a draft cannot be done; the text says why and what can."""


class Draft(NamedTuple):
    """What is known of a draft.

    Attributes:
        state: ``filling``: it is built from the log; ``replaced``: it holds what was live before the switch.
        began_at: when it was begun.
        changed_at: when it was begun, switched in or rolled back, the latest of them.
        changed_by: who did that.
        reason: why it was switched in although rows differed.
    """

    state: str
    began_at: datetime
    changed_at: datetime
    changed_by: str
    reason: str | None


def draft_follower(projection: str) -> str:
    """The name under which the checkpoints of a projection's draft are kept."""
    return f"draft.{projection}"


@contextmanager
def on_draft(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Let projections find the draft's tables where they look for the live ones."""
    connection.execution_options(schema_translate_map={SCHEMA: DRAFT_SCHEMA})
    try:
        yield connection
    finally:
        connection.execution_options(schema_translate_map={})


def find_draft(connection: psycopg.Connection[Any], projection: Projection) -> Draft | None:
    """The projection's draft, if there is one.

    Raises:
        DraftRefusedError: its tables are no longer made like the live ones.
    """
    with connection.cursor(row_factory=class_row(Draft)) as cursor:
        draft = cursor.execute(_FIND, (projection.name,)).fetchone()
    if draft is not None:
        for table in projection.tables:
            live, other = (
                connection.execute(_SHAPE, (f"{schema}.{table.name}",)).fetchall() for schema in (SCHEMA, DRAFT_SCHEMA)
            )
            if live != other:
                raise DraftRefusedError(
                    f"{table.fullname} is no longer made like its draft of {draft.began_at:%Y-%m-%d %H:%M}: "
                    f"begin anew with: ledgerq projection rebuild {projection.name} --anew"
                )
    return draft


def required_draft(connection: psycopg.Connection[Any], projection: Projection, *, state: str | None = None) -> Draft:
    """The projection's draft.

    Args:
        connection: where to look.
        projection: whose.
        state: in which it has to be; None: any.

    Raises:
        DraftRefusedError: there is none, it is in another state, or it counts a skipped event, or lacks one. The latter
            is no matter where any state will do and it holds what was live.
    """
    draft = find_draft(connection, projection)
    name = projection.name
    if draft is None:
        raise DraftRefusedError(f"{name} has no draft: begin one with: ledgerq projection rebuild {name}")
    if state is not None and draft.state != state:
        since = f"{draft.changed_at:%Y-%m-%d %H:%M:%S} UTC, by {draft.changed_by}"
        advice = {
            "replaced": f"was switched in at {since}: ledgerq projection rollback {name} takes that back, "
            f"ledgerq projection rebuild {name} --anew begins another",
            "filling": f"is not live: there is nothing to roll back (it was begun or rolled back at {since})",
        }
        raise DraftRefusedError(f"the draft of {name} {advice[draft.state]}")
    if state is not None or draft.state == "filling":
        _require_no_skips(connection, name, draft.state)
    return draft


def is_stale(connection: psycopg.Connection[Any], projection: Projection) -> bool:
    """Whether the projection's draft counts a skipped event, or lacks one that no longer is: it was passed before."""
    return bool(counted_skips(connection, draft_follower(projection.name)))


def _require_no_skips(connection: psycopg.Connection[Any], name: str, state: str) -> None:
    skips = counted_skips(connection, draft_follower(name))
    if skips:
        more = f" (and {len(skips) - 1:,} more)" if len(skips) > 1 else ""
        which = {"filling": f"the draft of {name}", "replaced": f"what was live before {name} was switched"}[state]
        raise DraftRefusedError(
            f"{which} {skips[0]} since it was passed{more}: ledgerq projection rebuild {name} begins a draft anew"
        )


def begin_draft(connection: psycopg.Connection[Any], projection: Projection, *, by: str) -> None:
    """Make the tables of a draft, empty; whatever draft there was is dropped. One transaction."""
    with connection.transaction():
        drop_draft(connection, projection)
        for table in projection.tables:
            names = {"draft": Identifier(DRAFT_SCHEMA, table.name), "live": Identifier(SCHEMA, table.name)}
            connection.execute(_MAKE.format(**names))
        connection.execute(_BEGIN, (projection.name, by))


def drop_draft(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """Forget the projection's draft, rows, parked events and checkpoints."""
    name = projection.name
    with connection.transaction():
        # The checkpoints first, as whoever fills it or skips an event does: so nobody waits in a circle.
        connection.execute("delete from event_store.checkpoints where follower = %s", (draft_follower(name),))
        forget_counted(connection, draft_follower(name))
        for table in projection.tables:
            connection.execute(_DROP.format(draft=Identifier(DRAFT_SCHEMA, table.name)))
        connection.execute("delete from read_model_draft.parked_events where projection = %s", (name,))
        connection.execute("delete from read_model_draft.drafts where projection = %s", (name,))


def note_change(
    connection: psycopg.Connection[Any],
    projection: Projection,
    *,
    state: str,
    by: str,
    reason: str | None,
    differences: int,
) -> None:
    """Write down, in the caller's transaction, that the draft was exchanged with the live rows."""
    connection.execute(_NOTE, (state, by, reason, differences, projection.name))


def draft_positions(connection: psycopg.Connection[Any], projection: Projection) -> dict[Log, int]:
    """How far the draft has come in each log."""
    return {log: Checkpoint.read(connection, draft_follower(projection.name), log) for log in projection.follows}
