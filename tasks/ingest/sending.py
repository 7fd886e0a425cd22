"""What ingest publishes itself: rejected messages to ``ingest.dead``, and its markers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

import structlog

from infra.broker.errors import BrokerError
from infra.broker.publisher import Confirmation, Publisher
from tasks.ingest.rejection import Rejected
from tasks.ingest.watermark import marker_message

WITHIN: Final = timedelta(seconds=5)
MARKER_WITHIN: Final = timedelta(seconds=2)
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
KEEP_ALIVE_SECONDS: Final = 5.0

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


class DeadLetterOffice:
    """Sends rejected messages to ``ingest.dead``, and does not return before the broker has them.

    Args:
        publisher: with confirms.
        pause: waits so many seconds, or raises when waiting makes no sense any more.
    """

    def __init__(self, publisher: Publisher, *, pause: Callable[[float], None]) -> None:
        self._publisher = publisher
        self._pause = pause

    def send(self, rejected: Sequence[Rejected]) -> None:
        """Send them all; those that the broker does not confirm again and again."""
        if not rejected:
            return
        seconds = FIRST_PAUSE_SECONDS
        waiting = self._sent(rejected)
        while waiting:
            self._pause(seconds)
            seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS)
            waiting = self._sent(waiting)

    def _sent(self, rejected: Sequence[Rejected]) -> list[Rejected]:
        """Send them once; those that did not arrive are returned."""
        try:
            confirmations = self._publish(rejected)
        except BrokerError as error:
            _log.error("rejected messages did not reach ingest.dead", messages=len(rejected), error=str(error))
            return list(rejected)
        lost = [(each, answer) for each, answer in zip(rejected, confirmations, strict=True) if not answer.confirmed]
        if lost:
            _log.error("rejected messages did not reach ingest.dead", messages=len(lost), error=lost[0][1].text)
        return [each for each, _ in lost]

    def _publish(self, rejected: Sequence[Rejected]) -> list[Confirmation]:
        try:
            return self._publisher.publish([each.message() for each in rejected], timeout=WITHIN)
        except ValueError as error:
            _log.warning("headers of rejected messages are left behind", error=str(error))
            return self._publisher.publish([each.message(bare=True) for each in rejected], timeout=WITHIN)


class Markers:
    """Sends markers in due time, and keeps the publisher's connection alive in between.

    Args:
        publisher: with confirms.
        every_seconds: how often.
        on_loss: called where one could not be sent.
    """

    def __init__(self, publisher: Publisher, *, every_seconds: float, on_loss: Callable[[], None]) -> None:
        self._publisher = publisher
        self._every_seconds = every_seconds
        self._on_loss = on_loss
        self._due_at = 0.0
        self._keep_alive_at = 0.0

    def send_if_due(self) -> None:
        """Send a marker if it is time. One that cannot be sent is left out: log time waits for the next."""
        now = monotonic()
        if now < self._due_at:
            self._keep_alive(now)
            return
        self._due_at = now + self._every_seconds
        try:
            self._publisher.publish([marker_message(now=datetime.now(UTC))], timeout=MARKER_WITHIN)
        except BrokerError as error:
            _log.warning("a marker was not sent", error=str(error))
            self._on_loss()

    def _keep_alive(self, now: float) -> None:
        if now >= self._keep_alive_at:
            self._keep_alive_at = now + KEEP_ALIVE_SECONDS
            self._publisher.keep_alive()
