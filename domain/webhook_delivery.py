"""Deliveries: one event on its way to one endpoint, and what came of each attempt."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID, uuid5

from domain.aggregate import Event

NAMESPACE: Final = UUID("0192d7a5-7b2e-7d41-9f3c-776562686f6b")
"""Namespace (RFC 9562, name-based UUIDs) of the ids of deliveries; part of the contract with receivers."""


def delivery_id(event_id: UUID | str, endpoint: str) -> UUID:
    """What receivers know a delivery by (`webhook-id`): the same however often the event is sent to the endpoint."""
    return uuid5(NAMESPACE, f"{event_id}/{endpoint}")


def delivery_stream(delivery: UUID | str) -> str:
    """Stream of the delivery of that id."""
    return f"webhook_delivery-{delivery}"


def delivery_purpose(endpoint: str) -> str:
    """What the run of a delivery is called under its event."""
    return f"deliver_to/{endpoint}"


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """Anything that comes of a delivery.

    Attributes:
        endpoint: to whom.
        event_log: the log that has the event which is delivered.
        event_stream: its stream there.
        event_version: its place in the stream.
        event_name: what happened.
    """

    endpoint: str
    event_log: str
    event_stream: str
    event_version: int
    event_name: str


class DeliveryAttempted(DeliveryEvent, frozen=True, kw_only=True):
    """What came of one attempt of a delivery.

    Attributes:
        run_id: the run that made it.
        attempt: of that run, from 1.
        url: where it was posted to.
        duration_seconds: until the answer, or the failure.
        status_code: of the answer; None: there was none.
    """

    run_id: str
    attempt: int
    url: str
    duration_seconds: float
    status_code: int | None


class DeliverySucceeded(DeliveryAttempted, frozen=True, kw_only=True):
    """The endpoint took the event: it answered 2xx."""

    TOPIC: ClassVar[str] = "delivery.succeeded"


class DeliveryFailed(DeliveryAttempted, frozen=True, kw_only=True):
    """The attempt came to nothing; the next one comes at `next_attempt_at`, if there is one."""

    TOPIC: ClassVar[str] = "delivery.failed"
    error_type: str
    error: str
    next_attempt_at: datetime | None


class DeliveryWithheld(DeliveryEvent, frozen=True, kw_only=True):
    """Nothing was sent: the endpoint had been disabled or removed meanwhile. It can be asked for again."""

    TOPIC: ClassVar[str] = "delivery.withheld"
    run_id: str
    attempt: int
    because: str


class RedeliveryRequested(DeliveryEvent, frozen=True, kw_only=True):
    """Somebody wants the event sent to the endpoint once more, under the same id."""

    TOPIC: ClassVar[str] = "delivery.requested_again"
    reason: str | None


ATTEMPTED_NAMES: Final = (DeliverySucceeded.TOPIC, DeliveryFailed.TOPIC, DeliveryWithheld.TOPIC)
"""What comes of attempts."""


def failed_attempts(story: Iterable[Event], run_id: str) -> int:
    """How many attempts of the run have failed, by what is recorded."""
    return sum(isinstance(event, DeliveryFailed) and event.run_id == run_id for event in story)


def has_arrived(story: Iterable[Event], run_id: str) -> bool:
    """Whether the run has delivered already: its record was made and its end was not."""
    return any(isinstance(event, DeliverySucceeded) and event.run_id == run_id for event in story)


def next_delay_seconds(
    failed: int, schedule_seconds: tuple[float, ...], *, retry_after_seconds: float | None, chance: float
) -> float | None:
    """How long the next attempt waits; None: there is none.

    Args:
        failed: attempts of the run that have failed, this one included.
        schedule_seconds: the waits after the first attempt, the second, …
        retry_after_seconds: what the endpoint asked for; counted up to :data:`LONGEST_ASKED_SECONDS`.
        chance: drawn from [0, 1): a wait is up to a fifth longer, so that what failed together does not come back so.
    """
    if failed > len(schedule_seconds):
        return None
    asked = min(retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS)
    return max(schedule_seconds[failed - 1], asked) * (1 + JITTER * chance)


JITTER: Final = 0.2
LONGEST_ASKED_SECONDS: Final = 86_400.0
"""A day: an endpoint cannot put its deliveries off for longer."""
