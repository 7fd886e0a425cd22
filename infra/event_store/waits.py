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
_IS_OPEN: Final = f"""
    name = 'task.wait_began' and not exists (
        select from event_store.task_events as ended
        where ended.stream_id = began.stream_id and (ended.version = {SLOT_END} or ended.version =
            {SLOT_HELD + Phase.IGNORED} + {SLOTS_PER_ATTEMPT} * (began.data->>'attempt')::bigint))
"""
_FORGET: Final = f"""
    delete from event_store.open_waits as kept
    where not exists (
        select from event_store.task_events as began where began.position = kept.position and {_IS_OPEN})
""".encode()  # noqa: S608  constants
_KEEP: Final = f"""
    insert into event_store.open_waits (position)
    select position from event_store.task_events as began where position > %b and position <= %b and {_IS_OPEN}
    on conflict do nothing
""".encode()  # noqa: S608  constants
_OPEN: Final = b"""
    select began.stream_id from event_store.open_waits join event_store.task_events as began using (position)
    where position <= %b order by position
"""
# Positions and times of recording differ in order by no more than the transactions of one moment.
_FIRST: Final = SQL("""
    select min(position)
    from (select position from {} where recorded_at >= %s order by recorded_at, position limit 1000) as first
""")


def log_of(name: str) -> Log | None:
    """The log that holds the events of this name; None where they cannot be waited for."""
    return None if name in _NOT_WAITED_FOR else WAITED_FOR.get(name.partition(".")[0])


def keep_open_waits(connection: Connection[Any], *, after: int, upto: int) -> None:
    """Keep which waits are open, so that nobody need look again at those that have ended.

    Args:
        connection: in the transaction that moves the checkpoint from ``after`` to ``upto``.
        after: position of the log of tasks up to which they are kept.
        upto: position up to which they are to be kept.
    """
    connection.execute(_FORGET)
    connection.execute(_KEEP, [after, upto])


def open_waits(connection: Connection[Any], *, upto: int) -> list[str]:
    """Streams of the runs that wait, of those that are kept and began up to a position of the log of tasks."""
    return [stream for (stream,) in connection.execute(_OPEN, [upto]).fetchall()]


def position_before(connection: Connection[Any], log: Log, since: datetime) -> int | None:
    """A position of the log after which all lies that was recorded since a moment; None where nothing was."""
    ((first,),) = connection.execute(_FIRST.format(Identifier("event_store", log.table)), [since]).fetchall()
    return None if first is None else int(first) - 1
