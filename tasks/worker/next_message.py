"""Messages made from a message in hand: of the run's next attempt, or of the same one once more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from kombu.utils import json
from msgspec.structs import replace

from domain.task_run import LAST_ATTEMPT
from domain.tier import Tier
from infra.broker.delay import MAX_DELAY, delay_route
from infra.broker.frames import OutgoingMessage, publish_frames
from infra.broker.headers import clean_headers
from tasks.worker.attempt import Attempt
from tasks.worker.envelope import MOST_RETURNS
from tasks.worker.outcome import Resend
from tasks.worker.verdict import NextAttempt

RETURNED: Final = "ledgerq-returned"
_REPR_LIMIT: Final = 1024
_FRAME_MAX: Final = 131_072
"""RabbitMQ's default (``frame_max``)."""
_TIERS: Final = {tier.queue: tier for tier in Tier}


def next_message(
    message: Any, attempt: Attempt, following: NextAttempt, *, traceparent: str | None = None
) -> OutgoingMessage:
    """The message that brings about the attempt after ``attempt``.

    It has the same task, arguments and priority, unless ``self.retry()`` asked for others; and the same trace, unless
    that attempt is to begin one of its own (``traceparent``).

    Raises:
        ValueError: it is to go where no delay leads, cannot be put into frames, or its number is beyond all others.
    """
    number, resend = attempt.number, following.resend
    if number >= LAST_ATTEMPT:
        raise ValueError(f"attempt {number} is the last one there can be")
    queue = resend.queue or attempt.queue
    exchange, routing_key = delay_route(min(following.delay, MAX_DELAY), queue)
    same = _copied(message, attempt, timedelta(0))
    reprs = {} if resend.args is None else {"argsrepr": resend.args, "kwargsrepr": resend.kwargs or ""}
    # Celery counts the retries it is told of: with ours told, its own limits and ours are one budget.
    spared = attempt.spared + following.is_spared
    counted: dict[str, Any] = {"ledgerq-attempt": number + 1, "retries": number - spared, "eta": None}
    if spared:
        counted["ledgerq-spared"] = spared
    if traceparent is not None:
        counted["traceparent"] = traceparent
    return _checked(
        replace(
            same,
            exchange=exchange,
            routing_key=routing_key,
            body=_body(message, resend),
            headers={**same.headers, **resend.headers, **{k: v[:_REPR_LIMIT] for k, v in reprs.items()}, **counted},
            priority=same.priority if resend.priority is None else _clamp(queue, resend.priority),
            message_id=f"{attempt.run_id}/{number + 1}",
        )
    )


def same_message(message: Any, attempt: Attempt, delay: timedelta = timedelta(0)) -> OutgoingMessage:
    """The message once more, to be delivered after ``delay``; a longer one than the ladder's is cut to that.

    It says how often it was put back: a worker may get it before it has let the one before it go, and must not take
    the two for one that was delivered twice.

    Raises:
        ValueError: its queue is none that a delay leads to, or it cannot be put into frames.
    """
    same = _copied(message, attempt, delay)
    returned = min(attempt.returned + 1, MOST_RETURNS)
    return _checked(replace(same, headers={**same.headers, RETURNED: returned}))


def _copied(message: Any, attempt: Attempt, delay: timedelta) -> OutgoingMessage:
    exchange, routing_key = delay_route(min(delay, MAX_DELAY), attempt.queue)
    properties = message.properties
    headers = clean_headers(message.headers)
    headers.pop("compression", None)  # kombu has expanded the body
    headers.pop(RETURNED, None)
    return OutgoingMessage(
        exchange=exchange,
        routing_key=routing_key,
        body=raw_body(message),
        message_id=f"{attempt.run_id}/{attempt.number}",
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=headers,
        priority=properties.get("priority"),
        correlation_id=properties.get("correlation_id"),
        reply_to=properties.get("reply_to") or None,
    )


def raw_body(message: Any) -> bytes:
    """The body's bytes."""
    body = message.body
    return body.encode(errors="surrogateescape") if isinstance(body, str) else bytes(body or b"")


def _body(message: Any, resend: Resend) -> bytes:
    if resend.args is None:
        return raw_body(message)
    embed: str = json.dumps(message.payload[2])  # type: ignore[no-untyped-call]
    return f"[{resend.args}, {resend.kwargs}, {embed}]".encode()


def _clamp(queue: str, priority: int) -> int:
    return _TIERS[queue].clamp(priority)


def _checked(message: OutgoingMessage) -> OutgoingMessage:
    """Found out here, a message that cannot be sent costs its own run; found out while sending, a whole batch."""
    publish_frames(message, channel=1, frame_max=_FRAME_MAX)
    return message
