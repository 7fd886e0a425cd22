"""The logs: one append-only table for each context, each with positions of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Log(StrEnum):
    """A context's log."""

    LICENSING = "licensing"
    """Sessions, licenses, schedules, and what ingest met."""
    TASKS = "tasks"
    """What becomes of each accepted task."""
    HEARTBEATS = "heartbeats"
    """Heartbeats in batches, and log time."""

    @property
    def table(self) -> str:
        """Name of its table in schema ``event_store``."""
        return _TABLES[self]


_TABLES: Final = {Log.LICENSING: "licensing_events", Log.TASKS: "task_events", Log.HEARTBEATS: "heartbeat_events"}
