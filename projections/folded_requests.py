"""Folded requests: which requests were not accepted as runs of their own, and which run they were folded into?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.unique_key import RequestFolded
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class RequestRow(msgspec.Struct):
    """A row of ``read_model.folded_requests``."""

    message_id: str
    task: str | None = None
    unique_key: str | None = None
    run_id: str | None = None
    asked_run_id: str | None = None
    asked_by: str | None = None
    folded_at: datetime | None = None


class FoldedRequests(Fold[RequestRow]):
    """One row per request that was folded into the run that had its key."""

    name = "folded_requests"
    question = "Which requests were folded into another run, and into which?"
    follows: ClassVar = {Log.LICENSING: (RequestFolded.TOPIC,)}
    begun_by: ClassVar = (RequestFolded.TOPIC,)
    table: ClassVar[sa.Table] = tables.FOLDED_REQUESTS
    shape = RequestRow

    def key(self, event: Event) -> Key:
        """The request's message."""
        return (event.originator_id.removeprefix("folded_request-"),)

    def fold(self, row: RequestRow, recorded: Recorded) -> None:
        """Take over what the event says."""
        event = recorded.event
        if not isinstance(event, RequestFolded):
            raise TypeError(f"{event.TOPIC} is not about a request")
        row.task, row.unique_key = event.task, event.key
        row.run_id, row.asked_run_id, row.folded_at = event.run_id, event.asked_run_id, event.timestamp
        row.asked_by = recorded.metadata.get("actor")
