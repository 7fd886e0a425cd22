"""Reading which message of a run counts: rare events, by an index of their own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.task_run import run_stream
from infra.event_store.log import Log
from infra.event_store.log_table import LogTable

COUNTS_FOR: Final = timedelta(days=30)
"""For so long an older message may still lie somewhere; after that nobody remembers that there is a later one."""
# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_ANNOUNCED: Final = """
    select stream_id, (data->>'attempt')::bigint, (data->>'copy')::bigint, recorded_at
    from event_store.task_events
    where name = 'task.republished' and position > %b and position <= %b and recorded_at > now() - %b
    order by position
"""


class Copy(NamedTuple):
    """Which message of a run counts.

    Attributes:
        attempt: the attempt it is for; messages of other attempts are not touched by it.
        number: which copy; 0 is the first message.
        at: when it was announced.
    """

    attempt: int
    number: int
    at: datetime


class CopyReader:
    """Statements on the log of tasks, each on a connection of the caller's, in autocommit."""

    def __init__(self) -> None:
        self._table = LogTable(Log.TASKS.table)

    def safe_position(self, connection: Connection[Any]) -> int:
        """The log is final up to here."""
        return self._table.safe_position(connection)

    def announced(self, connection: Connection[Any], *, after: int, upto: int) -> dict[str, Copy]:
        """By run id, the latest copy announced between two positions, within :data:`COUNTS_FOR`.

        Those of runs that have ended, too: the older message is the one that waits longest.
        """
        found = connection.execute(_ANNOUNCED.encode(), [after, upto, COUNTS_FOR]).fetchall()
        return {_run_id(stream): Copy(attempt, number, at) for stream, attempt, number, at in found}


def _run_id(stream: str) -> str:
    return stream.removeprefix(run_stream(""))
