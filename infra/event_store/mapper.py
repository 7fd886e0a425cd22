"""From events to rows and back: flat JSON under a chosen name."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from domain.aggregate import Created, Event, event_class
from infra.event_store.envelope import NewEvent

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Row(StoredEvent):
    """The library's stored event with our columns beside: its ``topic`` is the event's name, its ``state`` the data.

    Attributes:
        event_id: the fact's id; None means "no id known" and never counts as a repeat.
        occurred_at: UTC; None means "when it is stored".
        metadata: JSON text.
    """

    event_id: UUID | None = None
    occurred_at: datetime | None = None
    metadata: bytes = field(default=b"{}")


class EventMapper(Mapper[str]):
    """Maps our events; what the envelope says (stream, version, time) is columns and not repeated in the data."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_row(self, new: NewEvent) -> Row:
        """The row of a new event."""
        event = new.event
        data = event.data()
        if event.class_version > 1:
            data["class_version"] = event.class_version
        return Row(
            originator_id=event.originator_id,
            originator_version=event.originator_version,
            topic=event.TOPIC,
            state=_encode(data),
            event_id=new.event_id,
            occurred_at=event.timestamp,
            metadata=_encode(new.metadata),
        )

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> Row:
        """The library's way in, for an event without a known cause."""
        if not isinstance(domain_event, Event):
            raise TypeError(f"{type(domain_event).__qualname__} is not an event of ours")
        return self.to_row(NewEvent(domain_event, uuid4(), {}))

    def to_domain_event(self, stored_event: StoredEvent) -> Event:
        """The event of a stored row.

        Raises:
            UnknownEventError: this version of the code does not know the name.
            msgspec.ValidationError: the data does not fit the event.
        """
        occurred_at = stored_event.occurred_at if isinstance(stored_event, Row) else None
        data = msgspec.json.decode(stored_event.state)
        return self.to_event(
            stored_event.topic, str(stored_event.originator_id), stored_event.originator_version, occurred_at, data
        )

    def to_event(
        self, name: str, stream_id: str, version: int, occurred_at: datetime | None, data: dict[str, Any]
    ) -> Event:
        """The event of a row's columns; see :meth:`to_domain_event`."""
        cls = event_class(name)
        stored_version = data.pop("class_version", 1)
        for old in range(stored_version, cls.class_version):
            getattr(cls, f"upcast_v{old}_v{old + 1}")(data)
        data["originator_id"] = stream_id
        data["originator_version"] = version
        data["timestamp"] = occurred_at
        if issubclass(cls, Created):
            data["originator_topic"] = name.partition(".")[0]
        return msgspec.convert(data, cls)
