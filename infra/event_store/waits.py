"""Reading waits: those that are open, and where in a log a look back begins. Each has an index of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from domain.task_run import SLOT_END, SLOT_HELD, SLOTS_PER_ATTEMPT, Phase
from infra.event_store.log import Log

WAITED_FOR: Final = {
    "license": Log.LICENSING,
    "notice": Log.LICENSING,
    "schedule": Log.LICENSING,
    "session": Log.LICENSING,
    "signal": Log.LICENSING,
    "task": Log.TASKS,
}
"""The log of the events that can be waited for, by the first part of their names."""
_NOT_WAITED_FOR: Final = frozenset({"session.heartbeats_received"})
# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_OPEN: Final = f"""
    select stream_id from event_store.task_events as began
    where name = 'task.wait_began' and position <= %b
        and not exists (
            select from event_store.task_events as ended
            where ended.stream_id = began.stream_id and (ended.version = {SLOT_END} or ended.version =
                {SLOT_HELD + Phase.IGNORED} + {SLOTS_PER_ATTEMPT} * (began.data->>'attempt')::bigint))
    order by position
""".encode()  # noqa: S608  constants
# Positions and times of recording differ in order by no more than the transactions of one moment.
_FIRST: Final = SQL("""
    select min(position)
    from (select position from {} where recorded_at >= %s order by recorded_at, position limit 1000) as first
""")


def log_of(name: str) -> Log | None:
    """The log that holds the events of this name; None where they cannot be waited for."""
    return None if name in _NOT_WAITED_FOR else WAITED_FOR.get(name.partition(".")[0])


def open_waits(connection: Connection[Any], *, upto: int) -> list[str]:
    """Streams of the runs that wait, by what was recorded up to a position of the log of tasks."""
    return [stream for (stream,) in connection.execute(_OPEN, [upto]).fetchall()]


def position_before(connection: Connection[Any], log: Log, since: datetime) -> int | None:
    """A position of the log after which all lies that was recorded since a moment; None where nothing was."""
    ((first,),) = connection.execute(_FIRST.format(Identifier("event_store", log.table)), [since]).fetchall()
    return None if first is None else int(first) - 1
