"""Dead letters of tasks: each becomes the fact where its message is, and, where the broker ended the run, its end.

Source of the headers: RabbitMQ documentation, "Dead Letter Exchanges" (``x-death``: an array of tables, most recent
death first; the order is the same on 3.10 and on 4.x).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from domain.cause import Cause
from domain.kept_message import KeptMessage
from domain.run_id import message_run_id
from domain.task_run import LAST_ATTEMPT, TaskDeadLettered, run_stream
from infra.broker.headers import clean_headers
from infra.event_store import EventStore
from tasks.ingest import runs
from tasks.ingest.delivery import Delivery
from tasks.ingest.meter import IngestMeter
from tasks.ingest.rejection import Rejected
from tasks.ingest.spans import tell_buried

ACTOR: Final = "rabbitmq"
BODY_LIMIT_BYTES: Final = 65_536
"""The setting's default (``letter_body_limit_bytes``)."""
UNKNOWN: Final = "unknown"
_NAMESPACE: Final = UUID("0192d7a5-7a10-7de4-9d0e-6c6574746572")
_ALMOST_A_SECOND: Final = timedelta(microseconds=999_999)


class Death(NamedTuple):
    """What the broker says about a message's last death."""

    reason: str
    """``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``; ``unknown`` where it does not say."""
    queue: str | None
    at: datetime


class Letters:
    """Records dead letters.

    Args:
        store: where to.
        body_limit_bytes: size up to which the log keeps a message's body.
        meter: told of what is stored.
    """

    def __init__(
        self, store: EventStore, *, body_limit_bytes: int = BODY_LIMIT_BYTES, meter: IngestMeter | None = None
    ) -> None:
        self._store = store
        self._meter = meter
        self._body_limit_bytes = body_limit_bytes

    def take(self, deliveries: Sequence[Delivery], *, again: bool = False) -> list[Rejected]:
        """Record the letters in one transaction; once it returns they may be acknowledged. None is ever rejected.

        Where the broker ended a run that had ended already, that is recorded as ignored.
        """
        del again  # a letter recorded twice is a repeat, whoever tells it
        began = monotonic()
        decided = [letter(delivery, body_limit_bytes=self._body_limit_bytes) for delivery in deliveries]
        with self._store.transaction() as transaction:
            runs.append(transaction, decided)
        tell_buried(decided, deliveries)
        if self._meter is not None:
            reasons = [each.event.reason for each in decided if isinstance(each.event, TaskDeadLettered)]
            self._meter.recorded(reasons, seconds=monotonic() - began)
        return []


def letter(delivery: Delivery, *, body_limit_bytes: int = BODY_LIMIT_BYTES) -> runs.Decided:
    """What a dead-lettered task message says about its run, and as much of it as is kept."""
    headers = delivery.headers or {}
    run_id = message_run_id(delivery.body, headers)
    death = last_death(headers, received_at=delivery.received_at)
    event = TaskDeadLettered(
        originator_id=run_stream(run_id),
        originator_version=0,
        timestamp=death.at,
        task=_text(headers, "task") or UNKNOWN,
        reason=death.reason,
        queue=death.queue,
        priority=delivery.priority,
        license_id=_text(headers, "ledgerq-license-id"),
        message=KeptMessage.of(
            delivery.body,
            clean_headers(headers),
            limit_bytes=body_limit_bytes,
            content_type=delivery.content_type,
            content_encoding=delivery.content_encoding,
        ),
    )
    cause = Cause(
        id=uuid5(_NAMESPACE, f"{run_id}/{death.reason}/{death.queue}"),
        at=death.at,
        actor=ACTOR,
        correlation_id=_text(headers, "ledgerq-correlation-id") or run_id,
        causation_id=_text(headers, "ledgerq-causation-id"),
        traceparent=_text(headers, "traceparent"),
        tenant=_text(headers, "ledgerq-tenant"),
    )
    placed = msgspec.structs.replace(event, originator_version=event.slot())
    return runs.Decided(placed, cause, attempt=_attempt(headers))


def last_death(headers: Mapping[str, Any], *, received_at: datetime) -> Death:
    """The last time the message died, and of what.

    The broker gives whole seconds, cut off; the time is taken as late in that second as can be, so that a letter is
    not told before the rejection that made it one.
    """
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    reason = _text(last, "reason") or _text(headers, "x-last-death-reason") or _text(headers, "x-first-death-reason")
    queue = _text(last, "queue") or _text(headers, "x-last-death-queue") or _text(headers, "x-first-death-queue")
    at = last.get("time")
    if not isinstance(at, datetime):
        return Death(reason or UNKNOWN, queue, received_at)
    told = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return Death(reason or UNKNOWN, queue, min(told + _ALMOST_A_SECOND, received_at))


def _text(table: Mapping[str, Any], name: str) -> str | None:
    value = table.get(name)
    return value if isinstance(value, str) and value else None


def _attempt(headers: Mapping[str, Any]) -> int:
    told = headers.get("ledgerq-attempt")
    text = str(told) if isinstance(told, (int, str)) else ""
    number = int(text) if text.isdecimal() and len(text) <= len(str(LAST_ATTEMPT)) else 0
    return number if 0 < number <= LAST_ATTEMPT else 1
