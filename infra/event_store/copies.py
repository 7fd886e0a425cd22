"""Reading which message of a run counts: rare events, by an index of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.task_run import SLOT_END, run_stream
from infra.event_store.log import Log
from infra.event_store.log_table import LogTable

# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_OUTSTANDING: Final = f"""
    select stream_id, (data->>'attempt')::bigint, (data->>'copy')::bigint
    from event_store.task_events as asked
    where name = 'task.republished' and position > %b and position <= %b
        and not exists (
            select from event_store.task_events as ended
            where ended.stream_id = asked.stream_id and ended.version = {SLOT_END})
    order by position
"""  # noqa: S608  constants
_LOG_TIME: Final = """
    select occurred_at from event_store.heartbeat_events
    where name = 'ingest.watermark_passed' order by position desc limit 1
"""


class Copy(NamedTuple):
    """Which message of a run counts.

    Attributes:
        attempt: the attempt it is for; messages of other attempts are not touched by it.
        number: which copy; 0 is the first message.
    """

    attempt: int
    number: int


class CopyReader:
    """Statements on the log of tasks, each on a connection of the caller's, in autocommit."""

    def __init__(self) -> None:
        self._table = LogTable(Log.TASKS.table)

    def safe_position(self, connection: Connection[Any]) -> int:
        """The log is final up to here."""
        return self._table.safe_position(connection)

    def outstanding(self, connection: Connection[Any], *, after: int, upto: int) -> dict[str, Copy]:
        """By run id, the latest copy recorded between two positions, of runs that have no end yet."""
        found = connection.execute(_OUTSTANDING.encode(), [after, upto]).fetchall()
        return {_run_id(stream): Copy(attempt, number) for stream, attempt, number in found}


def log_time(connection: Connection[Any]) -> datetime | None:
    """Everything sent before it has been stored; None where ingest has not said so yet."""
    row = connection.execute(_LOG_TIME.encode()).fetchone()
    return row[0] if row else None


def _run_id(stream: str) -> str:
    return stream.removeprefix(run_stream(""))
