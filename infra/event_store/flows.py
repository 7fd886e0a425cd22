"""Reading what people did about flows: rare events that every worker wants to hear of at once."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import args_row

from domain.flow import FLOW_NAMES, FlowEvent
from infra.event_store.log import Log
from infra.event_store.log_table import Found, LogTable
from infra.event_store.mapper import EventMapper

# The names stand in the text and are no parameter: else the planner could not see that the partial index has the rows.
_NEW: Final = f"""
    select position, stream_id, version, name, data::text, metadata::text, event_id, occurred_at, recorded_at
    from event_store.licensing_events
    where name in ({", ".join(f"'{name}'" for name in FLOW_NAMES)}) and position > %b and position <= %b
    order by position
"""  # noqa: S608  constants


class FlowReader:
    """Statements on the log of licenses and flows, each on a connection of the caller's, in autocommit."""

    def __init__(self) -> None:
        self._table = LogTable(Log.LICENSING.table)
        self._mapper = EventMapper()

    def safe_position(self, connection: Connection[Any]) -> int:
        """The log is final up to here."""
        return self._table.safe_position(connection)

    def events(self, connection: Connection[Any], *, after: int, upto: int) -> list[tuple[FlowEvent, str]]:
        """What was done after one position and not after another, in order, and by whom.

        Raises:
            EventUnreadableError: a newer version of the code wrote one.
        """
        with connection.cursor(binary=True, row_factory=args_row(Found)) as cursor:
            rows = cursor.execute(_NEW.encode(), [after, upto]).fetchall()
        return [self._read(row) for row in rows]

    def _read(self, row: Found) -> tuple[FlowEvent, str]:
        metadata = msgspec.json.decode(row.metadata)
        event = self._mapper.to_event(
            row.name,
            row.data,
            stream_id=row.stream_id,
            version=row.version,
            occurred_at=row.occurred_at,
            metadata=metadata,
        )
        if not isinstance(event, FlowEvent):
            raise TypeError(f"{row.name} is nothing that is done about a flow")
        return event, metadata.get("actor", "somebody")
