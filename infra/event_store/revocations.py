"""Reading revocations: rare events that every worker wants to hear of at once, by an index of their own."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.task_run import SLOT_END, run_stream
from infra.event_store.log import Log
from infra.event_store.log_table import LogTable

_COLUMNS: Final = "stream_id, data->>'reason', metadata->>'actor', position, data->>'error_type', data->>'decided_by'"
# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_OUTSTANDING: Final = f"""
    select {_COLUMNS} from event_store.task_events as asked
    where name = 'task.revocation_requested' and position <= %b
        and not exists (
            select from event_store.task_events as ended
            where ended.stream_id = asked.stream_id and ended.version = {SLOT_END})
"""  # noqa: S608  constants
_NEW: Final = f"""
    select {_COLUMNS} from event_store.task_events
    where name = 'task.revocation_requested' and position > %b and position <= %b
"""  # noqa: S608  constants


ASKED_FOR: Final = "Revoked"
"""What the end of a run says that it came to where a person asked."""


class Revocation(NamedTuple):
    """A run that somebody wants not to be executed, or not any longer; or each run of a story.

    Attributes:
        run_id: the run; empty where it is a whole story.
        reason: why.
        actor: who asked.
        position: of the request in the log of tasks.
        error_type: what the run's end says that it came to.
        decided_by: id of the event because of which it is asked for, of the run's license or of its story; None: a
            person asked for this one.
    """

    run_id: str
    reason: str
    actor: str
    position: int
    error_type: str = ASKED_FOR
    decided_by: str | None = None

    @property
    def text(self) -> str:
        """Why and, where a person asked, by whom; for the run's end."""
        return f"{self.reason} (asked for by {self.actor})" if self.error_type == ASKED_FOR else self.reason

    def said(self) -> dict[str, str | None]:
        """What the end of the run says of it."""
        return {"error_type": self.error_type, "error": self.text, "decided_by": self.decided_by}


class RevocationReader:
    """Statements on the log of tasks, each on a connection of the caller's, in autocommit."""

    def __init__(self) -> None:
        self._table = LogTable(Log.TASKS.table)

    def safe_position(self, connection: Connection[Any]) -> int:
        """The log is final up to here."""
        return self._table.safe_position(connection)

    def outstanding(self, connection: Connection[Any], *, upto: int) -> list[Revocation]:
        """All that were asked for, of runs that have no end yet."""
        return _revocations(connection.execute(_OUTSTANDING.encode(), [upto]).fetchall())

    def requested(self, connection: Connection[Any], *, after: int, upto: int) -> list[Revocation]:
        """Those that were recorded after one position and not after another, whatever became of their runs."""
        return _revocations(connection.execute(_NEW.encode(), [after, upto]).fetchall())


def _revocations(rows: list[Any]) -> list[Revocation]:
    return [
        Revocation(_run_id(stream), reason or "", actor or "somebody", position, error_type or ASKED_FOR, decided_by)
        for stream, reason, actor, position, error_type, decided_by in rows
    ]


def _run_id(stream: str) -> str:
    return stream.removeprefix(run_stream(""))
