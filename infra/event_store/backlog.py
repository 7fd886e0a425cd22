"""Counting the backlog: accepted runs that dispatch has not published, by an index of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from psycopg import Connection

from domain.tier import Tier
from infra.event_store.checkpoint import Checkpoint
from infra.event_store.log import Log

# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_COUNT: Final = """
    select count(*) from (
        select from event_store.task_events
        where name = 'task.requested' and data->>'tier' = %s and position > %s
        limit %s
    ) counted
"""

_OLDEST: Final = """
    select now() - recorded_at from event_store.task_events
    where name = 'task.requested' and data->>'tier' = %s and position > %s
    order by position limit 1
"""


def publishing_follower(tier: Tier) -> str:
    """The name under which dispatch keeps the tier's place in the log of tasks."""
    return f"dispatch.publish.{tier}"


def count_backlog(connection: Connection[Any], tier: Tier, *, most: int) -> int:
    """How many accepted runs of the tier lie after dispatch's place in the log; counted up to ``most``.

    Of the batch that dispatch has in hand some may have been published already.
    """
    place = Checkpoint.read(connection, publishing_follower(tier), Log.TASKS)
    (counted,) = connection.execute(_COUNT.encode(), (tier.value, place, most)).fetchone() or (0,)
    return int(counted)


def oldest_in_backlog(connection: Connection[Any], tier: Tier) -> timedelta | None:
    """How long ago the oldest of them was recorded; None where there is none."""
    place = Checkpoint.read(connection, publishing_follower(tier), Log.TASKS)
    row = connection.execute(_OLDEST.encode(), (tier.value, place)).fetchone()
    return None if row is None else row[0]
