"""Log time: when a marker of ours comes through the queue, everything sent before it has been stored.

That holds for one ingest process, because the queue keeps its order: what a dead consumer had not acknowledged goes
back to the head of a quorum queue that has a delivery limit (RabbitMQ documentation, "Quorum Queues", "Repeated
Requeues"), before every marker sent later.

Where several processes consume, another one may still hold messages older than the marker. None holds any longer than
:data:`HOLD`: it stores them or gives them back (see :data:`GIVE_BACK`). So in company a marker counts only once
another one has come through this process that long after it, and log time runs behind by as much. The limit of this:
a process that is frozen (not dead, not out of reach of the database: frozen) for longer than that may make a session
lapse whose heartbeat it holds; once it is stored, the session resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.heartbeat import WatermarkPassed
from domain.messages import WatermarkData
from infra.broker.frames import OutgoingMessage
from infra.broker.topology import EVENTS
from infra.cloudevents import encode_structured, new_event
from infra.event_store import NewEvent, caused
from tasks.ingest.reading import Told
from tasks.ingest.rejection import ACTOR

MARKER: Final = "ingest.watermark"
GIVE_BACK: Final = timedelta(seconds=30)
"""A process that cannot store what it holds gives it back to the broker after this time."""
HOLD: Final = 2 * GIVE_BACK


class LogTime:
    """Decides which markers count, for one process."""

    def __init__(self) -> None:
        self._company_until: datetime | None = None
        self._passed: list[Told] = []

    def passed(self, markers: Sequence[Told], *, in_company: bool, now: datetime) -> list[NewEvent]:
        """The facts that follow from markers that came through; asked twice about the same, it says the same.

        Args:
            markers: in order of arrival.
            in_company: whether other processes consume the queue at this moment.
            now: the present.
        """
        if in_company:
            self._company_until = now + HOLD
        if self._company_until is None or now >= self._company_until:
            self._passed.clear()
            return [_fact(marker) for marker in markers]
        known = {marker.cause.id for marker in self._passed}
        self._passed += [marker for marker in markers if marker.cause.id not in known]
        old = [marker for marker in self._passed if marker.delivery.received_at <= now - HOLD]
        if not old:
            return []
        self._passed = self._passed[len(old) - 1 :]
        return [_fact(old[-1])]

    def is_held_back(self, *, now: datetime) -> bool:
        """Whether log time waits for other processes, or did so until a moment ago and may move on by as much now."""
        return self._company_until is not None and now < self._company_until + HOLD


def marker_message(*, now: datetime) -> OutgoingMessage:
    """A marker, sent ``now``."""
    event = new_event(MARKER, source=ACTOR, data=WatermarkData(), time=now.astimezone(UTC))
    encoded = encode_structured(event)
    return OutgoingMessage(
        exchange=EVENTS,
        routing_key=MARKER,
        body=encoded.body,
        content_type=encoded.content_type,
        message_id=str(event.unique_id),
    )


def _fact(marker: Told) -> NewEvent:
    # Its own time unless that is ahead of ours: a clock that is ahead must not make others lapse.
    event = WatermarkPassed.at(marker.occurred_at, marker_id=marker.cause.id)
    return caused([event], marker.cause)[0]
