"""Delivering: one attempt to send one event to one endpoint, and what follows from how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from domain.aggregate import Event
from domain.cause import Cause
from domain.webhook import Webhook, WebhookState
from domain.webhook_delivery import (
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryWithheld,
    delivery_id,
    delivery_stream,
    failed_attempts,
    has_arrived,
    next_delay_seconds,
)
from infra.event_store import EventStore, Log, Recorded
from infra.settings import Settings
from infra.webhooks.payload import CONTENT_TYPE, payload
from infra.webhooks.posting import Posted, post, retry_after_seconds
from infra.webhooks.secrets import endpoint_secret
from infra.webhooks.signature import signed_headers
from tasks.webhooks.reading import endpoint
from tasks.webhooks.recording import note_arrival, note_failure, record

USER_AGENT = "Ledgerq-Webhooks/1"


class EventMissingError(Exception):
    """The log has no event at the place that a delivery names: it was dropped, or never stored."""


class DeliveryGivenUpError(Exception):
    """Every attempt of a delivery failed; `ledgerq webhook redrive` begins anew."""


class Errand(NamedTuple):
    """A run that delivers, and what it needs for that.

    Attributes:
        store: with the logs.
        settings: of the process.
        cause: the run, as the cause of what is recorded.
        run_id: the run.
        attempt: of it, from 1.
        chance: draws from [0, 1).
    """

    store: EventStore
    settings: Settings
    cause: Cause
    run_id: str
    attempt: int
    chance: Callable[[], float]


class Place(NamedTuple):
    """Where the event is that is to be delivered."""

    log: Log
    stream: str
    version: int


class Delivery(NamedTuple):
    """An event on its way to an endpoint."""

    webhook: Webhook
    place: Place
    recorded: Recorded

    @property
    def id(self) -> UUID:
        """What the receiver knows it by."""
        return delivery_id(self.recorded.event_id, self.webhook.name)

    def told(self, errand: Errand, at: datetime) -> dict[str, Any]:
        """What every event of an attempt says; its place is found when it is recorded."""
        return {
            "originator_id": delivery_stream(self.id),
            "originator_version": 0,
            "timestamp": at,
            "endpoint": self.webhook.name,
            "event_log": self.place.log.value,
            "event_stream": self.place.stream,
            "event_version": self.place.version,
            "event_name": self.recorded.event.name,
            "run_id": errand.run_id,
            "attempt": errand.attempt,
        }


class Outcome(NamedTuple):
    """What became of an attempt.

    Attributes:
        said: ``delivered``, ``delivered before``, ``withheld`` or ``failed``.
        error: how it failed.
        wait_seconds: until the next attempt; None: there is none.
    """

    said: str
    error: str | None = None
    wait_seconds: float | None = None


def attempt(name: str, place: Place, errand: Errand) -> Outcome:
    """Send the event to the endpoint of that name, unless this run has done so or the endpoint wants nothing now.

    Raises:
        EventMissingError: there is no such event.
        WebhookKeyMissingError: there is no key to sign with.
        LostRaceError: others have taken every place where it could be recorded.
    """
    recorded = errand.store.load_at(place.log, place.stream, place.version)
    if recorded is None:
        raise EventMissingError(f"{place.log.value}: nothing at {place.stream} version {place.version}")
    delivery = Delivery(endpoint(errand.store, name), place, recorded)
    stream = delivery_stream(delivery.id)
    story = errand.store.load(Log.LICENSING, [stream]).get(stream, [])
    if has_arrived(story, errand.run_id):
        return Outcome("delivered before")
    if delivery.webhook.state is not WebhookState.ACTIVE:
        return _withhold(delivery, errand)
    posted = _post(delivery, errand)
    return _failed(delivery, errand, story, posted) if posted.error else _arrived(delivery, errand, posted)


def _withhold(delivery: Delivery, errand: Errand) -> Outcome:
    because = f"the endpoint is {delivery.webhook.state.value}"
    record(DeliveryWithheld(because=because, **delivery.told(errand, datetime.now(UTC))), errand.store, errand.cause)
    return Outcome("withheld", because)


def _post(delivery: Delivery, errand: Errand) -> Posted:
    webhook, now = delivery.webhook, datetime.now(UTC)
    body = payload(delivery.recorded, delivery.place.log)
    secrets = [endpoint_secret(errand.settings, webhook.name, each) for each in webhook.generations(at=now)]
    headers = {
        **signed_headers(str(delivery.id), body.decode(), secrets, at=now),
        "content-type": CONTENT_TYPE,
        "user-agent": USER_AGENT,
        "accept-encoding": "identity",
    }
    return post(webhook.known_terms().url, body, headers, errand.settings)


def _arrived(delivery: Delivery, errand: Errand, posted: Posted) -> Outcome:
    now = datetime.now(UTC)
    record(DeliverySucceeded(**_attempted(delivery, errand, posted, now)), errand.store, errand.cause)
    note_arrival(delivery.webhook.name, errand.store, errand.cause, at=now)
    return Outcome("delivered")


def _failed(delivery: Delivery, errand: Errand, story: Sequence[Event], posted: Posted) -> Outcome:
    now, settings = datetime.now(UTC), errand.settings
    wait = None
    if not posted.is_gone:
        wait = next_delay_seconds(
            failed_attempts(story, errand.run_id) + 1,
            settings.webhook_waits,
            retry_after_seconds=retry_after_seconds(posted.retry_after, now=now),
            chance=errand.chance(),
        )
    error = f"{posted.error_type}: {posted.error}"
    failed = DeliveryFailed(
        error_type=posted.error_type or "",
        error=posted.error or "",
        next_attempt_at=None if wait is None else now + timedelta(seconds=wait),
        **_attempted(delivery, errand, posted, now),
    )
    record(failed, errand.store, errand.cause)
    disable_after = timedelta(days=settings.webhook_disable_after_days)
    note_failure(failed, errand.store, errand.cause, is_gone=posted.is_gone, disable_after=disable_after)
    return Outcome("failed", error, wait)


def _attempted(delivery: Delivery, errand: Errand, posted: Posted, at: datetime) -> dict[str, Any]:
    return {
        **delivery.told(errand, at),
        "url": delivery.webhook.known_terms().url,
        "duration_seconds": posted.duration_seconds,
        "status_code": posted.status_code,
    }
