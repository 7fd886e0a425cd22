"""The event itself: its attributes, their limits, and what is left of a message that is none."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from domain.moment import BOUNDS, is_within_bounds

SPECVERSION: Final = "1.0"
JSON: Final = "application/json"
ABSENT: Final = msgspec.Raw(b"")
"""The data of an event that has none. (A JSON ``null`` is data.)"""
FRAGMENT_LIMIT_BYTES: Final = 500
NAMESPACE: Final = UUID("6f0d3a52-5c0e-5d0b-9c58-2f4f4f0d7c11")
"""Namespace of :attr:`CloudEvent.unique_id`; part of the contract, never to be changed."""

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Reference = Annotated[str, Meta(min_length=1, max_length=1024)]
TraceText = Annotated[str, Meta(max_length=512)]

_NAMESPACE_BYTES: Final = NAMESPACE.bytes


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event (CloudEvents 1.0.2 §3, and the extensions distributed tracing and correlation).

    Two things are stricter than the specification: ``time`` is required, for events are judged in the time of the
    log; and attributes are bounded, for they end in database indexes. Extension attributes not named here are not
    kept.
    """

    specversion: Literal["1.0"]
    id: Name
    """Unique within ``source``: the same source and id is the same event, however often it comes."""
    source: Reference
    """Where it happened, a URI reference."""
    type: Name
    """What happened: a key of ``domain.messages.MESSAGES``."""
    time: Annotated[datetime, Meta(tz=True)]
    """When it happened, in UTC, within the bounds of :mod:`domain.moment`; outside of them it raises OverflowError."""
    subject: Name | None = None
    """What it happened to, as the service names it."""
    datacontenttype: Name | None = None
    """Media type of ``data`` where it is another one than ``application/json``, which is written as None."""
    dataschema: Reference | None = None
    """URI of the schema that ``data`` follows."""
    traceparent: TraceText | None = None
    """W3C trace context in which it happened."""
    tracestate: TraceText | None = None
    correlationid: Name | None = None
    """What all events of one undertaking share."""
    causationid: Name | None = None
    """Id of the event that caused this one."""
    actor: Name | None = None
    """Who or what did it."""
    tenant: Name | None = None
    """On whose behalf."""
    data: msgspec.Raw = ABSENT
    """JSON text, checked to be JSON but not yet read."""

    def __post_init__(self) -> None:
        if not is_within_bounds(self.time):
            raise OverflowError(f"{self.time.isoformat()} is not {BOUNDS}")
        if self.time.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "time", self.time.astimezone(UTC))
        if self.datacontenttype == JSON:
            msgspec.structs.force_setattr(self, "datacontenttype", None)

    @property
    def unique_id(self) -> UUID:
        """The event's name in the whole system: derived from ``source`` and ``id``, so repeats collide."""
        return unique_id(self.source, self.id)


class Unreadable(msgspec.Struct, frozen=True):
    """A message, or one element of a batch, that is not an event of this contract."""

    reason: str
    """What is wrong with it, and what is allowed."""
    fragment: bytes
    """Its first bytes, at most ``FRAGMENT_LIMIT_BYTES``."""

    @classmethod
    def of(cls, reason: str, text: bytes | memoryview | msgspec.Raw) -> Unreadable:
        """With as much of the text as a report may carry."""
        return cls(reason=reason, fragment=bytes(memoryview(text)[:FRAGMENT_LIMIT_BYTES]))


def unique_id(source: str, event_id: str) -> UUID:
    """The version 5 UUID (RFC 9562 §5.5) of source, U+0000 and id; neither of the two can hold that character.

    Computed directly: twice as fast as :func:`uuid.uuid5`, and ingest does it for every event.
    """
    digest = sha1(_NAMESPACE_BYTES + f"{source}\0{event_id}".encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def is_json(media_type: str) -> bool:
    """Whether a media type, parameters aside, is ``*/json`` or ``*/*+json`` (CloudEvents JSON format §3.1.1)."""
    subtype = media_type.partition(";")[0].strip().lower().partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")
