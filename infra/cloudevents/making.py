"""A new event, made where something happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from domain.messages import MessageInvalid, decode_data
from infra.cloudevents.event import SPECVERSION, CloudEvent
from infra.cloudevents.text import unstorable


def new_event(
    event_type: str, *, source: str, data: Any, subject: str | None = None, time: datetime | None = None
) -> CloudEvent:
    """An event with a new id, its data checked against the contract.

    Args:
        event_type: a key of ``domain.messages.MESSAGES``.
        source: URI reference of the service.
        data: the type's struct, or the same as a dict.
        subject: what it happened to.
        time: when it happened, with an offset; now, where not given.

    Raises:
        domain.messages.MessageTypeUnknown: there is no such type.
        domain.messages.MessageInvalid: the data does not have the type's shape, or cannot be stored.
        OverflowError: the time is outside of the bounds of :mod:`domain.moment`.
    """
    text = msgspec.Raw(msgspec.json.encode(data))
    if flaw := unstorable(b'{"data":%b}' % text):  # as deep as it will be within the event
        raise MessageInvalid(f"data: {flaw}")
    decode_data(event_type, text)
    return CloudEvent(
        specversion=SPECVERSION,
        id=str(uuid4()),
        source=source,
        type=event_type,
        time=time or datetime.now(UTC),
        subject=subject,
        data=text,
    )
