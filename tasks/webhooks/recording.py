"""Recording what came of deliveries, and what that means for their endpoints."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from domain.cause import Cause
from domain.webhook import Webhook
from domain.webhook_delivery import DeliveryAttempted, DeliveryFailed, DeliveryWithheld
from domain.webhook_events import WebhookDisabled, WebhookEvent
from infra.event_store import EventStore, Log, LostRaceError, NewEvent
from tasks.webhooks.reading import endpoint

LOOKS: Final = 10
"""How often a place in a stream is looked for while others write there."""

log = structlog.get_logger(__name__)


def record(event: DeliveryAttempted | DeliveryWithheld, store: EventStore, cause: Cause) -> None:
    """Append ``event`` behind what is in its delivery's stream; nothing where this attempt's is there.

    Raises:
        LostRaceError: others have taken every place this looked for.
    """
    event_id = cause.event_id(2 * event.attempt)
    stream = event.originator_id
    for look in range(1, LOOKS + 1):
        story = store.load_recorded(Log.LICENSING, [stream]).get(stream, [])
        if any(each.event_id == event_id for each in story):
            return
        placed = msgspec.structs.replace(event, originator_version=len(story) + 1)
        if _is_stored(store, NewEvent(placed, event_id, cause.metadata()), is_last=look == LOOKS):
            return


def note_arrival(name: str, store: EventStore, cause: Cause, *, at: datetime) -> None:
    """An endpoint that was failing is not, any more."""
    _follow(name, store, cause, lambda webhook: webhook.arrived(at=at))


def note_failure(
    failed: DeliveryFailed, store: EventStore, cause: Cause, *, is_gone: bool, disable_after: timedelta
) -> None:
    """An endpoint begins to fail, or is disabled because it said so or has failed for too long."""
    error = f"{failed.error_type}: {failed.error}"
    done = _follow(
        failed.endpoint,
        store,
        cause,
        lambda webhook: webhook.failed(error, is_gone=is_gone, disable_after=disable_after, at=failed.timestamp),
    )
    if isinstance(done, WebhookDisabled):
        log.error("an endpoint is disabled", endpoint=failed.endpoint, because=done.because.value, detail=done.detail)


def _follow(
    name: str, store: EventStore, cause: Cause, verb: Callable[[Webhook], WebhookEvent | None]
) -> WebhookEvent | None:
    """Append what ``verb`` makes of the endpoint as it is now; decided anew where somebody else was quicker."""
    for look in range(1, LOOKS + 1):
        event = verb(endpoint(store, name))
        if event is None:
            return None
        event_id = cause.event_id(event.originator_version * 2 + 1)
        if _is_stored(store, NewEvent(event, event_id, cause.metadata()), is_last=look == LOOKS):
            return event
    return None


def _is_stored(store: EventStore, new: NewEvent, *, is_last: bool) -> bool:
    try:
        store.append(Log.LICENSING, [new])
    except LostRaceError:
        if is_last:
            raise
        return False
    return True
