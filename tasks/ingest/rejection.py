"""Messages that are not taken in: the fact that is recorded, and the message that goes to ``ingest.dead``."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from domain.cause import Cause
from domain.ingest import FRAGMENT_CHARACTERS, MessageDeadLettered
from infra.broker.frames import OutgoingMessage
from infra.broker.headers import clean_headers
from infra.broker.topology import INGEST_DEAD
from infra.cloudevents import CloudEvent
from infra.event_store import NewEvent, caused
from tasks.ingest.delivery import Delivery

ACTOR: Final = "ledgerq/ingest"
"""Who is answerable for facts that ingest itself finds."""
UNREADABLE: Final = "unreadable"
TOO_LARGE: Final = "too_large"
UNKNOWN_TYPE: Final = "unknown_type"
INVALID: Final = "invalid"
FAULT: Final = "fault"
"""Our own code failed at it; the detail is the error."""

REASON_HEADER: Final = "x-ledgerq-reason"
DETAIL_HEADER: Final = "x-ledgerq-detail"
DETAIL_CHARACTERS: Final = 1000


class Rejected(NamedTuple):
    """A message, or one element of a batch, that is not taken in, and why."""

    delivery: Delivery
    message_id: UUID
    reason: str
    """One of the names above, or the code of a refusal."""
    detail: str
    message_type: str | None = None
    source: str | None = None
    source_event_id: str | None = None
    traceparent: str | None = None

    @classmethod
    def bytes_of(cls, delivery: Delivery, *, reason: str, detail: str) -> Rejected:
        """A message of which no event could be read."""
        told = _printable(detail[:DETAIL_CHARACTERS])
        return cls(delivery, delivery.identity(), reason, told, traceparent=delivery.traceparent)

    @classmethod
    def event_of(cls, delivery: Delivery, event: CloudEvent, *, reason: str, detail: str) -> Rejected:
        """A message whose event was read."""
        told = _printable(detail[:DETAIL_CHARACTERS])
        said = {"message_type": event.type, "source": event.source, "source_event_id": event.id}
        return cls(
            delivery, event.unique_id, reason, told, **said, traceparent=event.traceparent or delivery.traceparent
        )

    def fact(self) -> NewEvent:
        """``ingest.message_dead_lettered``, the same event each time the message is rejected."""
        at = self.delivery.received_at
        event = MessageDeadLettered.record(
            self.message_id,
            reason=self.reason,
            detail=self.detail,
            at=at,
            fragment=_printable(self.delivery.body[: 4 * FRAGMENT_CHARACTERS].decode(errors="replace")),
            message_type=self.message_type,
            source=self.source,
            source_event_id=self.source_event_id,
        )
        cause = Cause(
            id=dead_letter_id(self.message_id),
            at=at,
            actor=ACTOR,
            correlation_id=str(self.message_id),
            traceparent=self.traceparent,
        )
        return caused([event], cause)[0]

    def message(self, *, bare: bool = False) -> OutgoingMessage:
        """The message for ``ingest.dead``: as it came, with the reason in its headers.

        Args:
            bare: leave its own properties behind (those of some clients cannot be written again, or are too large).
        """
        headers: dict[str, Any] = {} if bare else clean_headers(self.delivery.headers)
        headers |= {REASON_HEADER: self.reason, DETAIL_HEADER: self.detail}
        return OutgoingMessage(
            exchange=INGEST_DEAD,
            routing_key=self.reason,
            body=self.delivery.body,
            content_type=(None if bare else self.delivery.content_type) or "application/octet-stream",
            headers=headers,
            message_id=str(self.message_id),
        )


def dead_letter_id(message_id: UUID) -> UUID:
    """Id of the cause under which the rejection of a message is recorded."""
    return uuid5(message_id, "dead letter")


def _printable(text: str) -> str:
    """Text that the database takes: PostgreSQL's jsonb has no U+0000 (PostgreSQL manual §8.14)."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
