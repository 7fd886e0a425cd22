"""The follower that lets runs go on whose wait has ended: their next attempt is published, told what came.

At least once, as every message: the attempt is the same one, and what it comes to has one slot. A message that is lost
after that is published again by `ledgerq reconcile`; its attempt waits anew and finds what came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid5

import msgspec
import structlog

from domain.task_run import SLOT_END, AttemptEvent, TaskRejected, task_event
from domain.tier import Tier
from domain.wait import TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut, WaitEnd
from infra.broker.delay import TASKS
from infra.broker.errors import BrokerError
from infra.broker.frames import OutgoingMessage, publish_frames
from infra.broker.publisher import Publisher
from infra.event_store import EventStore, EventUnreadableError, Log, NewEvent, Recorded
from tasks.dispatch.backoff import Backoff
from tasks.dispatch.causes import cause_of
from tasks.dispatch.error_callbacks import errbacks_in
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.lane import FIRST_PAUSE, LONGEST_PAUSE
from tasks.dispatch.place import Place
from tasks.dispatch.publishing import PUBLISH_TIMEOUT
from tasks.dispatch.subject import run_id_of

FOLLOWER: Final = "dispatch.resuming"
NAMES: Final = (TaskWaitSatisfied.TOPIC, TaskWaitTimedOut.TOPIC)
CAME: Final = "came"
"""The argument of a waiting step by which it is told how its wait ended."""
FRAME_MAX: Final = 131_072
"""RabbitMQ's default (``frame_max``)."""
_QUEUES: Final = frozenset(tier.queue for tier in Tier)

log = structlog.get_logger(__name__)


class ResumingFollower(LogFollower):
    """Publishes the attempt after each wait at least once.

    Args:
        store: the log.
        publisher: confirmed.
        page_runs: most runs of one look.
    """

    def __init__(
        self,
        store: EventStore,
        publisher: Publisher,
        *,
        page_runs: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(store, Place(FOLLOWER, Log.TASKS))
        self._publisher = publisher
        self._page_runs = page_runs
        self._monotonic = monotonic
        self._backoff = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._confirmed: set[str | None] = set()

    def step(self) -> bool:
        """Publish what has come to be published; whether there was anything.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        now = self._monotonic()
        if not self._backoff.is_over(now):
            return False
        page = self._store.read(Log.TASKS, after=self.place.position, limit=self._page_runs, names=NAMES)
        if not page.events:
            self.place.position = page.position
            return False
        rejected: list[NewEvent] = []
        if not self._publish([m for each in page.events if (m := self._message(each, rejected)) is not None]):
            self._backoff.fail(now)
            return False
        self._backoff.succeed()
        with self.moving(page.position) as transaction:
            transaction.append_each(Log.TASKS, rejected)
        self._confirmed.clear()
        return True

    def _message(self, ended: Recorded, rejected: list[NewEvent]) -> OutgoingMessage | None:
        """The message by which the run goes on; None where it has gone on, has ended, or is to end as rejected."""
        end, stream = ended.event, ended.event.originator_id
        assert isinstance(end, WaitEnd)  # noqa: S101  only those are asked for
        try:
            story = [each.event for each in self._store.load_recorded(Log.TASKS, [stream]).get(stream, [])]
        except EventUnreadableError as error:
            log.warning("a run that waited cannot be read", run_id=run_id_of(stream), reason=str(error))
            return None
        attempts = [each for each in story if isinstance(each, AttemptEvent)]
        is_over = any(e.originator_version == SLOT_END or e.attempt > end.attempt for e in attempts)
        began = next((e for e in attempts if isinstance(e, TaskWaitBegan) and e.attempt == end.attempt), None)
        if is_over or began is None:
            return None
        try:
            return resumption(began, end)
        except ValueError as error:
            log.warning("a run that waited cannot go on", run_id=run_id_of(stream), reason=str(error))
            rejected.append(_rejected(ended, end, began, reason=str(error)))
            return None

    def _publish(self, messages: list[OutgoingMessage]) -> bool:
        """Whether the broker has all of them by now; what it confirmed is not published again."""
        waiting = [message for message in messages if message.message_id not in self._confirmed]
        if not waiting:
            return True
        try:
            answers = self._publisher.publish(waiting, timeout=PUBLISH_TIMEOUT)
        except BrokerError as error:
            log.warning("runs that waited not published; they are tried again", runs=len(waiting), reason=str(error))
            return False
        self._confirmed |= {m.message_id for m, answer in zip(waiting, answers, strict=True) if answer.confirmed}
        refused = [answer.text for answer in answers if not answer.confirmed]
        if refused:
            log.warning("runs that waited refused; they are tried again", runs=len(refused), reason=refused[0])
        return not refused


def _rejected(ended: Recorded, end: WaitEnd, began: TaskWaitBegan, *, reason: str) -> NewEvent:
    """The end of a run whose message was kept in a way that nobody can send."""
    run_id, now = run_id_of(end.originator_id), datetime.now(UTC)
    why = {"error_type": "UnpublishableError", "error": reason, "errbacks": errbacks_in(began.message)}
    said = {"task": end.task, "attempt": end.attempt, **why}
    event = task_event(TaskRejected.TOPIC, run_id, at=now, data=said)
    metadata = cause_of(ended, actor="dispatch").metadata()
    return NewEvent(event, uuid5(ended.event_id, TaskRejected.TOPIC), metadata)


def resumption(began: TaskWaitBegan, end: WaitEnd) -> OutgoingMessage:
    """The message by which a run goes on, as it was kept, with what it is told.

    Raises:
        ValueError: nobody could send it; the text says why.
    """
    kept, run_id = began.message, run_id_of(began.originator_id)
    args, kwargs, embed = msgspec.json.decode(kept.body_bytes() or b"", type=tuple[list[Any], dict[str, Any], Any])
    message = OutgoingMessage(
        exchange=TASKS,
        routing_key=began.queue if began.queue in _QUEUES else Tier.NORMAL.queue,
        body=msgspec.json.encode([args, {**kwargs, CAME: _told(end)}, embed]),
        message_id=f"{run_id}/{began.attempt + 1}",
        content_type=kept.content_type or "application/json",
        content_encoding=kept.content_encoding,
        headers=kept.headers,
        priority=began.priority,
        correlation_id=run_id,
    )
    publish_frames(message, channel=1, frame_max=FRAME_MAX)  # found out here it costs its own run, and not a batch
    return message


def _told(end: WaitEnd) -> dict[str, Any]:
    if isinstance(end, TaskWaitTimedOut):
        return {"timed_out": end.until.isoformat()}
    return {"event": msgspec.to_builtins(end.came) if isinstance(end, TaskWaitSatisfied) else None}
