"""The task that sends one event to one webhook endpoint."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain.webhook_subscription import DELIVERY_TASK
from infra.event_store import Log
from tasks.app import task as declare
from tasks.catalog.run_cause import attempt_number, run_cause
from tasks.webhooks.delivering import DeliveryGivenUpError, Errand, EventMissingError, Place, attempt
from tasks.wiring import wiring
from tasks.worker.retry import RetryPolicy

DELIVERIES: Final = RetryPolicy(start=timedelta(seconds=60), maximum=timedelta(seconds=7200), max_retries=100)
"""For what is no answer of an endpoint: our own faults. Of endpoints the setting LEDGERQ_WEBHOOK_RETRY_SECONDS says."""


class DeliveryFailedError(Exception):
    """An attempt of a delivery failed; another one follows."""


@declare(
    DELIVERY_TASK,
    bind=True,
    retry_policy=DELIVERIES,
    no_retry_for=(DeliveryGivenUpError, EventMissingError),
    soft_time_limit=180,
)
def deliver_webhook(self: Any, *, endpoint: str, event_log: str, event_stream: str, event_version: int) -> Any:
    """Send the event at that place of the log to the endpoint.

    Returns:
        ``outcome``: ``delivered``, ``delivered before`` or ``withheld``.
    """
    wired, now = wiring(), datetime.now(UTC)
    chance = random.SystemRandom().random
    errand = Errand(
        wired.store, wired.settings, run_cause(self, at=now), str(self.request.id), attempt_number(self), chance
    )
    outcome = attempt(endpoint, Place(Log(event_log), event_stream, event_version), errand)
    if outcome.said != "failed":
        return {"outcome": outcome.said}
    if outcome.wait_seconds is None:
        raise DeliveryGivenUpError(outcome.error)
    raise self.retry(exc=DeliveryFailedError(outcome.error), countdown=outcome.wait_seconds)
