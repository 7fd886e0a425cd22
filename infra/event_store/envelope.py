"""What goes into the store and what comes out: events in their envelopes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from domain.aggregate import Event
from domain.cause import Cause

Outcome = Literal["stored", "repeat", "taken"]


class NewEvent(NamedTuple):
    """An event to be stored.

    Attributes:
        event: the fact, with its stream and version.
        event_id: the same for the same fact, however often it is told.
        metadata: causation, correlation, actor, trace context, tenant.
    """

    event: Event
    event_id: UUID
    metadata: dict[str, Any]


class Recorded(NamedTuple):
    """An event as the log has it."""

    position: int
    event: Event
    event_id: UUID
    metadata: dict[str, Any]
    recorded_at: datetime


class Unreadable(NamedTuple):
    """A row that this version of the code cannot read: its name is unknown or its data does not fit."""

    position: int
    stream_id: str
    name: str
    reason: str


class Page(NamedTuple):
    """A look at a log.

    Attributes:
        events: in order of position.
        position: how far the log has been looked at, past rows that did not match too; read on after it.
        unreadable: rows that could not be read; they are not among the events.
    """

    events: list[Recorded]
    position: int
    unreadable: list[Unreadable]


class Verdict(NamedTuple):
    """What became of one event that was appended on its own.

    Attributes:
        outcome: ``stored``; ``repeat``: this event was there; ``taken``: another event has its place.
        position: where it is; None where it is not.
    """

    outcome: Outcome
    position: int | None


class LostRaceError(Exception):
    """Another event has taken this place in the stream: whoever decided on the old state has to decide again."""

    def __init__(self, stream_id: str, version: int) -> None:
        self.stream_id = stream_id
        self.version = version
        super().__init__(f"{stream_id} has another event at version {version}")


class EventUnreadableError(Exception):
    """This version of the code cannot read a stored event: a newer one wrote it, or its data does not fit its name."""

    def __init__(self, stream_id: str, version: int, name: str, *, reason: str) -> None:
        self.stream_id = stream_id
        self.version = version
        self.name = name
        self.reason = reason
        super().__init__(f"{stream_id}: {name} at version {version} cannot be read: {reason}")


def caused(events: Iterable[Event], cause: Cause, *, first: int = 0) -> list[NewEvent]:
    """The events that ``cause`` brings about, with the ids that follow from it.

    Args:
        events: in the order in which the cause brings them about, the same every time.
        cause: what made them happen.
        first: ordinal of the first of them.
    """
    metadata = cause.metadata()
    return [NewEvent(event, cause.event_id(ordinal), metadata) for ordinal, event in enumerate(events, first)]
