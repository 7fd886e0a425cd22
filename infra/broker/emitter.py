"""The emitter: how a service written in Python tells what happened, and knows that it arrived.

Services in other languages do the same with any AMQP 0-9-1 client: docs/reference/messages.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec

from domain.messages import decode_data
from infra.broker.errors import BrokerError
from infra.broker.publisher import Confirmation, OutgoingMessage, Publisher
from infra.broker.topology import EVENTS
from infra.cloudevents import CloudEvent, Encoded, encode_binary, encode_structured
from infra.cloudevents.encoding import BATCH
from infra.cloudevents.event import SPECVERSION

BATCH_EVENTS: Final = 1000
"""Most events in one message of batch mode."""
BATCH_BYTES: Final = 262_144
"""Size at which a batch is closed and the next begun; far below the smallest limit ingest is run with."""
TIMEOUT: Final = timedelta(seconds=10)


class Mode(StrEnum):
    """How events are put into messages (CloudEvents AMQP binding)."""

    STRUCTURED = "structured"
    BINARY = "binary"
    BATCH = "batch"


class NotEmittedError(BrokerError):
    """The broker refused or returned some of the events; emitting those again under their ids does no harm.

    Attributes:
        events: those that did not arrive.
    """

    def __init__(self, text: str, events: Sequence[CloudEvent]) -> None:
        super().__init__(text)
        self.events = tuple(events)


class _Parcel(NamedTuple):
    message: OutgoingMessage
    events: Sequence[CloudEvent]


def new_event(
    event_type: str, *, source: str, data: Any, subject: str | None = None, time: datetime | None = None
) -> CloudEvent:
    """An event with a new id, checked against the contract.

    Args:
        event_type: a key of ``domain.messages.MESSAGES``.
        source: URI reference of the service.
        data: the type's struct, or the same as a dict.
        subject: what it happened to.
        time: when it happened, with an offset; now, where not given.

    Raises:
        domain.messages.MessageTypeUnknown: there is no such type.
        domain.messages.MessageInvalid: the data does not have the type's shape.
    """
    text = msgspec.Raw(msgspec.json.encode(data))
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


class Emitter:
    """Emits events and returns when the broker has them.

    Args:
        publisher: for this emitter alone, or shared within one thread.
        timeout: for one call, however many events.
    """

    def __init__(self, publisher: Publisher, *, timeout: timedelta = TIMEOUT) -> None:
        self._publisher = publisher
        self._timeout = timeout

    def emit(self, event: CloudEvent, *, mode: Mode = Mode.STRUCTURED) -> None:
        """Emit one event. Raises as :meth:`emit_all` does."""
        self.emit_all([event], mode=mode)

    def emit_batch(self, events: Sequence[CloudEvent]) -> int:
        """Emit many events in few messages; the way for heartbeats. Returns and raises as :meth:`emit_all` does."""
        return self.emit_all(events, mode=Mode.BATCH)

    def emit_all(self, events: Sequence[CloudEvent], *, mode: Mode) -> int:
        """Emit many events in one pipelined publish.

        Returns:
            how many messages they took.

        Raises:
            NotEmittedError: some were refused or returned; it says which. The others have arrived.
            BrokerUnreachableError: any number of them may have arrived; emit all again, their ids tell repeats.
            PublishTimeoutError: likewise.
            BrokerRefusedError: likewise, once the topology stands.
        """
        parcels = list(_parcels(events, mode))
        confirmations = self._publisher.publish([parcel.message for parcel in parcels], timeout=self._timeout)
        refused = [
            (parcel, confirmation)
            for parcel, confirmation in zip(parcels, confirmations, strict=True)
            if not confirmation.confirmed
        ]
        if refused:
            raise _not_emitted(refused, len(events))
        return len(parcels)


def _not_emitted(refused: Sequence[tuple[_Parcel, Confirmation]], total: int) -> NotEmittedError:
    lost = [event for parcel, _ in refused for event in parcel.events]
    reasons = sorted({f"{confirmation.outcome.value}: {confirmation.text}" for _, confirmation in refused})
    return NotEmittedError(f"{len(lost)} of {total} events did not arrive ({'; '.join(reasons)})", lost)


def _parcels(events: Sequence[CloudEvent], mode: Mode) -> Iterator[_Parcel]:
    if mode is Mode.BATCH:
        yield from (_parcel(encoded, group) for encoded, group in _groups(events))
        return
    encode = encode_binary if mode is Mode.BINARY else encode_structured
    for event in events:
        yield _parcel(encode(event), [event])


def _groups(events: Sequence[CloudEvent]) -> Iterator[tuple[Encoded, list[CloudEvent]]]:
    texts: list[bytes] = []
    group: list[CloudEvent] = []
    size = 0
    for event in events:
        text = encode_structured(event).body
        if group and (len(group) == BATCH_EVENTS or size + len(text) > BATCH_BYTES):
            yield _joined(texts), group
            texts, group, size = [], [], 0
        texts.append(text)
        group.append(event)
        size += len(text)
    if group:
        yield _joined(texts), group


def _joined(texts: Sequence[bytes]) -> Encoded:
    return Encoded(BATCH, {}, b"[" + b",".join(texts) + b"]")


def _parcel(encoded: Encoded, events: Sequence[CloudEvent]) -> _Parcel:
    first = events[0]
    message = OutgoingMessage(
        exchange=EVENTS,
        routing_key=first.type,
        body=encoded.body,
        message_id=str(first.unique_id),
        content_type=encoded.content_type,
        headers=encoded.headers,
        type=first.type,
    )
    return _Parcel(message, events)
