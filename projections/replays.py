"""Replays: who had which dead letters replayed, when and why?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.dead_letter import ReplayFinished, ReplayRequested, replay_stream
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class ReplayRow(msgspec.Struct):
    """A row of ``read_model.replays``."""

    replay_id: str
    requested_at: datetime | None = None
    requested_by: str | None = None
    reason: str | None = None
    chosen_by: str | None = None
    letters: int | None = None
    is_again: bool | None = None
    per_second: float | None = None
    priority: int | None = None
    edit: str | None = None
    finished_at: datetime | None = None
    replayed: int | None = None
    left_out: int | None = None


class Replays(Fold[ReplayRow]):
    """One row per batch."""

    name = "replays"
    question = "Who had which dead letters replayed, when and why?"
    follows: ClassVar = {Log.TASKS: (ReplayRequested.TOPIC, ReplayFinished.TOPIC)}
    table: ClassVar[sa.Table] = tables.REPLAYS
    shape = ReplayRow

    def key(self, event: Event) -> Key:
        """The batch."""
        return (event.originator_id.removeprefix(replay_stream("")),)

    def fold(self, row: ReplayRow, recorded: Recorded) -> None:
        """Note what was asked for, and what came of it."""
        match recorded.event:
            case ReplayRequested() as asked:
                row.requested_at, row.requested_by = asked.timestamp, recorded.metadata.get("actor")
                row.reason, row.chosen_by = asked.reason, json_text(asked.chosen_by)
                row.letters, row.is_again = len(asked.run_ids), asked.is_again
                row.per_second, row.priority = asked.per_second, asked.priority
                row.edit = json_text(asked.edit) if asked.edit else None
            case ReplayFinished() as done:
                row.finished_at, row.replayed, row.left_out = done.timestamp, done.replayed, len(done.left)
            case event:
                raise TypeError(f"{event.TOPIC} is nothing that happens to a batch of replays")


def json_text(value: Any) -> str:
    """``value`` as JSON text, the same for the same value."""
    return msgspec.json.encode(value, order="sorted").decode()
