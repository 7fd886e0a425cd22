"""From events to rows and back: flat JSON under a chosen name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from uuid import UUID, uuid4

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, Notification, StoredEvent

from domain.aggregate import ENVELOPE_FIELDS, Created, Event, UnknownEventError, event_class
from infra.cloudevents.text import NUL, storable
from infra.event_store.envelope import EventUnreadableError, NewEvent

SCHEMA_VERSION: Final = "schema_version"
"""Key of the metadata that says in which version of its class an event was stored; absent means 1."""

INDEXED_BYTES: Final = 2000
"""How long a text may be that is looked up by: PostgreSQL's B-trees refuse what fills a third of a page."""

_SURELY_INDEXED: Final = INDEXED_BYTES // 4
"""So many characters have no more bytes than that, whichever they are."""

Values = tuple[str, int, str, str, str, UUID, datetime]
"""A row's columns, in this order: stream, version, name, data and metadata as JSON text, event id, when it occurred."""

_encode = msgspec.json.Encoder().encode
_decode: Callable[[str | bytes], Any] = msgspec.json.Decoder().decode
_convert = msgspec.convert


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Our columns beside those the library knows; its ``topic`` is the event's name, its ``state`` the data.

    Attributes:
        event_id: the fact's id; None: none is known, so it is no repeat of anything.
        occurred_at: UTC; None: now.
        metadata: JSON text.
    """

    event_id: UUID | None = None
    occurred_at: datetime | None = None
    metadata: bytes = b"{}"


@dataclass(frozen=True)
class Row(Envelope, StoredEvent):
    """A stored event, or one to be stored."""


@dataclass(frozen=True)
class LogRow(Envelope, Notification):
    """A stored event with its position in the log."""


class EventMapper(Mapper[str]):
    """Maps our events; what the envelope says (stream, version, time) is columns and not repeated in the data."""

    _data_fields: ClassVar[dict[type[Event], tuple[str, ...]]] = {}

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def values(self, new: NewEvent) -> Values:
        """The columns of a new event.

        NUL characters, which PostgreSQL cannot hold, become U+2400 (SYMBOL FOR NULL).

        Raises:
            ValueError: the event's time is without a time zone or outside of years 1 to 9999, its stream's id or its
                correlation id is too long to look up by, or a text holds half of a surrogate pair.
        """
        event, event_id, metadata = new
        cls = type(event)
        stream_id = event.originator_id
        correlation_id = str(metadata.get("correlation_id", ""))
        if len(stream_id) + len(correlation_id) > _SURELY_INDEXED:
            _refuse_unindexable(cls.TOPIC, stream_id, correlation_id)
        if cls.class_version > 1:
            metadata = {**metadata, SCHEMA_VERSION: cls.class_version}
        fields = self._data_fields.get(cls) or self._fields(cls)
        data = _json({name: getattr(event, name) for name in fields})
        return stream_id, event.originator_version, cls.TOPIC, data, _json(metadata), event_id, _utc(event)

    def to_row(self, new: NewEvent) -> Row:
        """The row of a new event, as the library wants it; see :meth:`values`."""
        stream_id, version, name, data, metadata, event_id, occurred_at = self.values(new)
        envelope = {"event_id": event_id, "occurred_at": occurred_at, "metadata": metadata.encode()}
        return Row(stream_id, version, name, data.encode(), **envelope)  # type: ignore[arg-type]

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> Row:
        """The library's way in, for an event without a known cause."""
        if not isinstance(domain_event, Event):
            raise TypeError(f"{type(domain_event).__qualname__} is not an event of ours")
        return self.to_row(NewEvent(domain_event, uuid4(), {}))

    def to_domain_event(self, stored_event: StoredEvent) -> Event:
        """The library's way out.

        Raises:
            EventUnreadableError: this version of the code does not know the name, or the data does not fit.
        """
        envelope = stored_event if isinstance(stored_event, Envelope) else Envelope()
        return self.to_event(
            stored_event.topic,
            stored_event.state,
            stream_id=str(stored_event.originator_id),
            version=stored_event.originator_version,
            occurred_at=envelope.occurred_at,
            metadata=msgspec.json.decode(envelope.metadata),
        )

    def to_event(
        self,
        name: str,
        data: str | bytes,
        *,
        stream_id: str,
        version: int,
        occurred_at: datetime | None,
        metadata: dict[str, Any],
    ) -> Event:
        """The event of a row's columns, brought to the present version of its class; see :meth:`to_domain_event`."""
        try:
            cls = event_class(name)
            fields = _decode(data)
            if (stored_version := metadata.get(SCHEMA_VERSION, 1)) != cls.class_version:
                _upcast(fields, cls, stored_version)
            fields["originator_id"] = stream_id
            fields["originator_version"] = version
            fields["timestamp"] = occurred_at
            if issubclass(cls, Created):
                fields["originator_topic"] = name.partition(".")[0]
            return _convert(fields, cls)
        except Exception as error:
            raise EventUnreadableError(stream_id, version, name, reason=f"{type(error).__name__}: {error}") from error

    def _fields(self, cls: type[Event]) -> tuple[str, ...]:
        fields = tuple(name for name in cls.__struct_fields__ if name not in ENVELOPE_FIELDS)
        self._data_fields[cls] = fields
        return fields


def _upcast(fields: dict[str, Any], cls: type[Event], stored_version: int) -> None:
    """Bring data of an earlier version of its class to the present one."""
    if stored_version > cls.class_version:
        raise UnknownEventError(f"{cls.TOPIC} in version {stored_version}")
    for old in range(stored_version, cls.class_version):
        getattr(cls, f"upcast_v{old}_v{old + 1}")(fields)


def _refuse_unindexable(name: str, *texts: str) -> None:
    for text in texts:
        if len(text.encode()) > INDEXED_BYTES:
            raise ValueError(f"{name}: {text[:50]}… has more than {INDEXED_BYTES} bytes")


def _utc(event: Event) -> datetime:
    """When it occurred, in the zone in which it is read again: there it could have left Python's years."""
    at = event.timestamp
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError(f"{event.originator_id}: {event.TOPIC} says when, but not in which time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{event.originator_id}: {at} is outside of years 1 to 9999") from None


def _json(value: Any) -> str:
    text = _encode(value)
    return (storable(text) if NUL in text else text).decode()
