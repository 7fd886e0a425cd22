"""The event store: append-only logs in PostgreSQL, on the `eventsourcing` library's recorder and mapper.

Processes that read events import `domain` first; this package does it for them.
"""

import domain  # noqa: F401
from infra.event_store.checkpoint import Checkpoint, CheckpointMovedError
from infra.event_store.dropped import ArchiveMissingError
from infra.event_store.envelope import (
    EventUnreadableError,
    LostRaceError,
    NewEvent,
    Outcome,
    Page,
    Recorded,
    Unreadable,
    Verdict,
    caused,
)
from infra.event_store.log import Log
from infra.event_store.log_table import Claim
from infra.event_store.skips import skipped_positions
from infra.event_store.store import EventStore
from infra.event_store.transaction import Transaction

__all__ = [
    "ArchiveMissingError",
    "Checkpoint",
    "CheckpointMovedError",
    "Claim",
    "EventStore",
    "EventUnreadableError",
    "Log",
    "LostRaceError",
    "NewEvent",
    "Outcome",
    "Page",
    "Recorded",
    "Transaction",
    "Unreadable",
    "Verdict",
    "caused",
    "skipped_positions",
]
