"""Reading what was done about webhook endpoints and hooks; found by index, however long the log is."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from psycopg import Connection
from psycopg.rows import args_row

from domain.webhook_events import ENDPOINT_NAMES, HOOK_NAMES
from infra.event_store.envelope import EventUnreadableError, Recorded, Unreadable
from infra.event_store.log_table import Found
from infra.event_store.mapper import EventMapper
from infra.event_store.transaction import recorded

# The names stand in the texts: else the planner could not see that the partial index has the rows.
_NAMES: Final = ", ".join(f"'{name}'" for name in (*ENDPOINT_NAMES, *HOOK_NAMES))
_MARK: Final = f"""
    select count(*), coalesce(max(position), 0) from event_store.licensing_events where name in ({_NAMES})
"""  # noqa: S608  constants
_TOLD: Final = f"""
    select position, stream_id, version, name, data::text, metadata::text, event_id, occurred_at, recorded_at
    from event_store.licensing_events where name in ({_NAMES}) order by stream_id, version
"""  # noqa: S608  constants


class WebhookStories(NamedTuple):
    """All that was done about endpoints and hooks.

    Attributes:
        events: stream by stream, in order.
        unreadable: what this version of the code cannot read.
        mark: changes when anything is added.
    """

    events: list[Recorded]
    unreadable: list[Unreadable]
    mark: tuple[int, int]


class WebhookReader:
    """Statements on the log of licensing, each on a connection of the caller's.

    They see whatever is committed, below and above the log's safe position: who asks whether an endpoint was there when
    an event was recorded must not miss it for a transaction that is still open elsewhere.
    """

    def __init__(self) -> None:
        self._mapper = EventMapper()

    def stories(self, connection: Connection[Any], known: WebhookStories | None = None) -> WebhookStories:
        """Everything; ``known`` itself where nothing was added to it."""
        ((count, last),) = connection.execute(_MARK.encode()).fetchall()
        mark = (int(count), int(last))
        if known is not None and known.mark == mark:
            return known
        with connection.cursor(binary=True, row_factory=args_row(Found)) as cursor:
            rows = cursor.execute(_TOLD.encode()).fetchall()
        events, unreadable = [], []
        for row in rows:
            try:
                events.append(recorded(self._mapper, row))
            except (EventUnreadableError, msgspec.DecodeError) as error:
                unreadable.append(Unreadable(row.position, row.stream_id, row.name, str(error)))
        return WebhookStories(events, unreadable, mark)
