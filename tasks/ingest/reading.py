"""From messages to what they say. The hot path: a heartbeat becomes a tuple in a list and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import structlog

from domain.cause import Cause
from domain.heartbeat import Heartbeat
from domain.messages import MessageInvalid, MessageTypeUnknown, SessionHeartbeatData, decode_data
from infra.cloudevents import CloudEvent, Unreadable, decode
from tasks.ingest.delivery import Delivery, Parts
from tasks.ingest.rejection import FAULT, INVALID, TOO_LARGE, UNKNOWN_TYPE, UNREADABLE, Rejected

AHEAD: Final = timedelta(seconds=1)
"""Two clocks that differ by less are taken for the same; a heartbeat from further in the future says by how much."""
MILLISECOND: Final = timedelta(milliseconds=1)

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


class Told(NamedTuple):
    """One thing we were told, other than a heartbeat."""

    event: CloudEvent
    data: msgspec.Struct
    cause: Cause
    parts: Parts
    place: int

    @property
    def delivery(self) -> Delivery:
        """The message, or the element of a batch, that said it."""
        return self.parts[self.place]

    @property
    def occurred_at(self) -> datetime:
        """When it happened: what the message says, and not after we were told."""
        return min(self.event.time, self.parts.received_at)

    @property
    def redelivered(self) -> bool:
        """Whether the broker may have handed it out before."""
        return self.delivery.redelivered

    def refused(self, *, reason: str, detail: str) -> Rejected:
        """It is not taken in."""
        return Rejected.event_of(self.delivery, self.event, reason=reason, detail=detail)


class Reading(NamedTuple):
    """What a batch of messages says, each part in order of arrival."""

    heartbeats: list[Heartbeat]
    told: list[Told]
    rejected: list[Rejected]


def read(deliveries: Iterable[Delivery], *, limit_bytes: int) -> Reading:
    """Read messages. Never raises for a message, whatever it holds; what cannot be read is among the rejected.

    Args:
        deliveries: the messages.
        limit_bytes: largest body that is read at all.
    """
    reading = Reading([], [], [])
    for delivery in deliveries:
        if len(delivery.body) > limit_bytes:
            detail = f"{len(delivery.body)} bytes; allowed are {limit_bytes}"
            reading.rejected.append(Rejected.bytes_of(delivery, reason=TOO_LARGE, detail=detail))
            continue
        try:
            said = _said(delivery)
        except Exception as error:  # noqa: BLE001  a bug of ours: this message is put aside, the others go on
            _log.exception("a message could not be read for a fault of ours", message_id=str(delivery.identity()))
            detail = f"{type(error).__name__}: {error}"
            reading.rejected.append(Rejected.bytes_of(delivery, reason=FAULT, detail=detail))
            continue
        reading.heartbeats.extend(said.heartbeats)
        reading.told.extend(said.told)
        reading.rejected.extend(said.rejected)
    return reading


def _heartbeat(session_id: str, at: datetime, received_at: datetime) -> Heartbeat:
    """Not later than its receipt: one clock that is ahead would keep a session alive until then."""
    if at <= received_at:
        return Heartbeat(session_id, at)
    ahead = at - received_at
    return Heartbeat(session_id, received_at, ahead // MILLISECOND if ahead > AHEAD else 0)


def cause_of(event: CloudEvent, delivery: Delivery) -> Cause:
    """The message as the cause of what is recorded because of it.

    Args:
        event: what it says.
        delivery: the message; a sender whose tools know nothing of CloudEvents names its trace in the headers.
    """
    return Cause(
        id=event.unique_id,
        at=event.time,
        actor=event.actor or event.source,
        correlation_id=event.correlationid or "",
        traceparent=event.traceparent or delivery.traceparent,
        tenant=event.tenant,
        source_event_id=event.id,
        causation_id=event.causationid,
    )


def _said(delivery: Delivery) -> Reading:
    events = decode(delivery.content_type, delivery.headers, delivery.body)
    parts = Parts(delivery, count=len(events))
    said = Reading([], [], [])
    for index, event in enumerate(events):
        if isinstance(event, Unreadable):
            said.rejected.append(Rejected.bytes_of(parts[index], reason=UNREADABLE, detail=event.reason))
            continue
        try:
            data = decode_data(event.type, event.data)
        except (MessageTypeUnknown, MessageInvalid) as error:
            reason = INVALID if isinstance(error, MessageInvalid) else UNKNOWN_TYPE
            detail = str(error.args[0])
            said.rejected.append(Rejected.event_of(parts[index], event, reason=reason, detail=detail))
            continue
        if isinstance(data, SessionHeartbeatData):
            said.heartbeats.append(_heartbeat(data.session_id, event.time, delivery.received_at))
        else:
            said.told.append(Told(event, data, cause_of(event, delivery), parts, index))
    return said
