"""What events and aggregates are made of: the one module of the domain that knows the `eventsourcing` library.

Events are frozen `msgspec` structs, so what is stored is flat JSON that an analyst can read; aggregates are the
library's. An event's stored name is its ``TOPIC`` (``session.started``), chosen and stable: no Python path ever
reaches the database.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

import msgspec
from eventsourcing.domain import BaseAggregate, CanInitAggregate, CanMutateAggregate
from eventsourcing.utils import register_topic

# Fields that are columns of the log or follow from the event's name; they are no part of its stored data.
ENVELOPE_FIELDS = ("originator_id", "originator_version", "timestamp", "originator_topic")

EVENT_CLASSES: dict[str, type[Event]] = {}
"""Every event that can be stored, by its stored name."""


class Event(msgspec.Struct, CanMutateAggregate[str], frozen=True, kw_only=True):
    """A fact in a stream.

    Attributes:
        originator_id: the stream it belongs to (``session-<id>``).
        originator_version: its place in the stream, from 1.
        timestamp: when it occurred, UTC; when it was recorded is the log's business.
    """

    TOPIC: ClassVar[str] = ""
    class_version: ClassVar[int] = 1
    """Raised when the shape changes; ``upcast_vN_vN+1(data)`` static methods bring old data along."""

    originator_id: str
    originator_version: int
    timestamp: datetime

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.TOPIC:
            register_topic(cls.TOPIC, cls)
            EVENT_CLASSES[cls.TOPIC] = cls

    @property
    def name(self) -> str:
        """The event's stored name."""
        return self.TOPIC

    def data(self) -> dict[str, Any]:
        """What the event says, without its envelope, as plain JSON-ready values."""
        fields = (name for name in self.__struct_fields__ if name not in ENVELOPE_FIELDS)
        data: dict[str, Any] = msgspec.to_builtins({name: getattr(self, name) for name in fields})
        return data

    def _as_dict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class Created(Event, CanInitAggregate[str], frozen=True, kw_only=True):
    """The first fact of a stream that has an aggregate."""

    originator_topic: str


class Aggregate(BaseAggregate[str]):
    """Something with a rule of its own. Public verbs check the rule; events only assign when applied."""

    TOPIC: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.TOPIC:
            register_topic(cls.TOPIC, cls)

    @classmethod
    def begin(cls, event_class: type[Created], *, stream_id: str, at: datetime, **data: Any) -> Self:
        """A new aggregate whose first fact is ``event_class``."""
        return cls._create(event_class, id=stream_id, timestamp=at, **data)

    def record(self, event_class: type[Event], *, at: datetime, **data: Any) -> None:
        """Add a fact that the caller has already found to be allowed."""
        self.trigger_event(event_class, timestamp=at, **data)


AnyAggregate = TypeVar("AnyAggregate", bound=Aggregate)


def event_class(name: str) -> type[Event]:
    """The class of the events stored under ``name``.

    Raises:
        UnknownEventError: no event of that name is known to this version of the code.
    """
    try:
        return EVENT_CLASSES[name]
    except KeyError:
        raise UnknownEventError(name) from None


class UnknownEventError(LookupError):
    """The log holds an event whose name this version of the code does not know; a newer version wrote it."""


def replay(events: list[Event]) -> Aggregate | None:
    """The aggregate after ``events`` (one stream, in order of version); None where there are none."""
    state: Any = None
    for event in events:
        state = event.mutate(state)
    found: Aggregate | None = state
    return found
