"""Dead letters of ingest: which messages were not taken in, and why?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.ingest import MessageDeadLettered, dead_message_stream
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key
from projections.task_runs import trace_id


class MessageRow(msgspec.Struct):
    """A row of ``read_model.ingest_dead_letters``."""

    message_id: str
    reason: str | None = None
    detail: str | None = None
    message_type: str | None = None
    source: str | None = None
    source_event_id: str | None = None
    fragment: str | None = None
    dead_lettered_at: datetime | None = None
    trace_id: str | None = None


class IngestDeadLetters(Fold[MessageRow]):
    """One row per message that ingest put aside."""

    name = "ingest_dead_letters"
    question = "Which messages were not taken in, and why?"
    follows: ClassVar = {Log.LICENSING: (MessageDeadLettered.TOPIC,)}
    begun_by: ClassVar = (MessageDeadLettered.TOPIC,)
    table: ClassVar[sa.Table] = tables.INGEST_DEAD_LETTERS
    shape = MessageRow

    def key(self, event: Event) -> Key:
        """The message."""
        return (event.originator_id.removeprefix(dead_message_stream("")),)

    def fold(self, row: MessageRow, recorded: Recorded) -> None:
        """Take over what the event says."""
        event = recorded.event
        if not isinstance(event, MessageDeadLettered):
            raise TypeError(f"{event.TOPIC} is not about a message")
        row.reason, row.detail = event.reason, event.detail
        row.message_type, row.source, row.source_event_id = event.message_type, event.source, event.source_event_id
        row.fragment, row.dead_lettered_at = event.fragment, event.timestamp
        row.trace_id = trace_id(recorded.metadata.get("traceparent"))
