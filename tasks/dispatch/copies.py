"""The follower that publishes raised copies: another message of a run that waited for too long, in its place.

A run must not be executed twice for it. Once the fact is stored, every live worker hears of it within
:data:`HEARD_WITHIN` and drops the older message; whatever a worker began before that has been told, and is stored once
log time has passed that moment. From then on the log knows whether the older message was taken; where it was not,
nobody will take it any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from msgspec.structs import replace

from domain.aggregate import Event
from domain.task_run import SLOT_END, STARVING, AttemptEvent, TaskReceived, TaskRepublished, TaskRequested
from infra.broker.errors import BrokerError
from infra.broker.frames import OutgoingMessage
from infra.broker.publisher import Publisher
from infra.event_store import EventStore, EventUnreadableError, Log, Recorded
from tasks.dispatch.backoff import Backoff
from tasks.dispatch.celery_message import UnpublishableError, celery_message
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.lane import FIRST_PAUSE, LONGEST_PAUSE
from tasks.dispatch.place import Place
from tasks.dispatch.subject import run_id_of

FOLLOWER: Final = "dispatch.copies"
NAMES: Final = (TaskRepublished.TOPIC,)
PAGE: Final = 200
HEARD_WITHIN: Final = timedelta(seconds=30)
"""By then every worker that reaches the database has looked at the log, and has let go of what it had not begun."""
PUBLISH_TIMEOUT: Final = timedelta(seconds=10)
LOOK_EVERY_SECONDS: Final = 0.5

log = structlog.get_logger(__name__)


class CopiesFollower(LogFollower):
    """Publishes each raised copy at least once, in the order in which they were asked for.

    Args:
        store: the log.
        publisher: confirmed.
    """

    def __init__(
        self, store: EventStore, publisher: Publisher, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(store, Place(FOLLOWER, Log.TASKS))
        self._publisher = publisher
        self._monotonic = monotonic
        self._backoff = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._look_at = 0.0
        self._confirmed: set[UUID] = set()

    def step(self) -> bool:
        """Publish what may be published by now; whether there was anything.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        now = self._monotonic()
        if now < self._look_at or not self._backoff.is_over(now):
            return False
        self._look_at = now + LOOK_EVERY_SECONDS
        page = self._store.read(Log.TASKS, after=self.place.position, limit=PAGE, names=NAMES)
        if not page.events:
            self.place.position = page.position
            return False
        ripe, to = self._ripe(page.events, page.position)
        if to == self.place.position:
            return False
        outgoing = [(each, message) for each in ripe if (message := self._copy(each)) is not None]
        if not self._publish(outgoing):
            self._backoff.fail(now)
            return False
        self._backoff.succeed()
        with self.moving(to):
            pass  # what is published is told by nobody but the broker
        self._confirmed.clear()
        return True

    def _ripe(self, facts: list[Recorded], page_end: int) -> tuple[list[Recorded], int]:
        """The facts that the log has caught up with, and the position up to which everything is dealt with then."""
        raised = [each for each in facts if isinstance(each.event, TaskRepublished) and each.event.reason == STARVING]
        log_time = self._store.log_time()
        for index, each in enumerate(raised):
            if log_time is None or each.recorded_at + HEARD_WITHIN > log_time:
                return raised[:index], each.position - 1
        return raised, page_end

    def _copy(self, fact: Recorded) -> OutgoingMessage | None:
        """The message, or None where the run was taken up, or ended, without it."""
        event, stream = fact.event, fact.event.originator_id
        assert isinstance(event, TaskRepublished)  # noqa: S101  only those are asked for
        try:
            story = self._store.load_recorded(Log.TASKS, [stream]).get(stream, [])
            if any(_is_taken_up(each.event) for each in story):
                return None
            first = celery_message(next(each for each in story if isinstance(each.event, TaskRequested)))
        except (EventUnreadableError, UnpublishableError, StopIteration) as error:
            reason = str(error) or "nobody requested it of us"
            log.warning("a run's priority cannot be raised", run_id=run_id_of(stream), reason=reason)
            return None
        headers = {**(first.headers or {}), "ledgerq-copy": event.copy}
        return replace(first, headers=headers, priority=event.priority, message_id=f"{first.message_id}/{event.copy}")

    def _publish(self, outgoing: list[tuple[Recorded, OutgoingMessage]]) -> bool:
        """Whether the broker has all of them by now; what it confirmed is not published again."""
        waiting = [(fact, message) for fact, message in outgoing if fact.event_id not in self._confirmed]
        if not waiting:
            return True
        try:
            answers = self._publisher.publish([message for _, message in waiting], timeout=PUBLISH_TIMEOUT)
        except BrokerError as error:
            log.warning("raised copies not published; they are tried again", copies=len(waiting), reason=str(error))
            return False
        self._confirmed |= {fact.event_id for (fact, _), a in zip(waiting, answers, strict=True) if a.confirmed}
        refused = [answer.text for answer in answers if not answer.confirmed]
        if refused:
            log.warning("raised copies refused; they are tried again", copies=len(refused), reason=refused[0])
            return False
        log.info("runs raised above those that passed them", copies=len(waiting))
        return True


def _is_taken_up(event: Event) -> bool:
    """Whether it shows that a worker began the run, or that it ended; one that is only held has to be raised still."""
    is_begun = isinstance(event, AttemptEvent) and not isinstance(event, TaskReceived)
    return is_begun or event.originator_version == SLOT_END
