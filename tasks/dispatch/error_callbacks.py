"""The follower that has error callbacks called which nobody who saw the failure could call (Celery: ``link_error``).

A child calls those of what a task raises. Here are the others: a child was killed or lost, a message could not be
executed or was dead-lettered by the broker, a chord's body will never run. Calling them takes Celery: a task does that.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

import msgspec
import structlog

from domain.cause import derived_run_id
from domain.kept_message import KeptMessage
from domain.task_run import (
    SLOT_REQUESTED,
    TaskDeadLettered,
    TaskEvent,
    TaskFailed,
    TaskFailure,
    TaskLost,
    TaskRejected,
    TaskRequested,
    TaskTimedOut,
    run_stream,
)
from domain.tier import TIER_OF_QUEUE, Tier
from infra.event_store import EventStore, Log, NewEvent, Recorded
from tasks.dispatch.causes import cause_of
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.outcomes import went_wrong
from tasks.dispatch.place import Place
from tasks.dispatch.subject import run_id_of

FOLLOWER: Final = "dispatch.error_callbacks"
NAMES: Final = tuple(event.TOPIC for event in (TaskFailed, TaskTimedOut, TaskLost, TaskRejected, TaskDeadLettered))
CALL: Final = "call_error_callbacks"

log = structlog.get_logger(__name__)


class ErrorCallbacksFollower(LogFollower):
    """Asks once for the callbacks of each end, in the transaction that moves its checkpoint.

    Args:
        store: the log.
        clock: the present, UTC.
        page_events: most events of one look.
    """

    def __init__(self, store: EventStore, *, clock: Callable[[], datetime], page_events: int) -> None:
        super().__init__(store, Place(FOLLOWER, Log.TASKS))
        self._clock = clock
        self._page_events = page_events

    def step(self) -> bool:
        """Look at one page; whether there was anything.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        page = self._store.read(Log.TASKS, after=self.place.position, limit=self._page_events, names=NAMES)
        for unreadable in page.unreadable:
            log.error("this end cannot be read; nobody's error callbacks are called for it", event=unreadable)
        now = self._clock()
        requests = [request for each in page.events if (request := _request(each, at=now)) is not None]
        if not requests:
            self.place.position = page.position
            return bool(page.events)
        with self.moving(page.position) as transaction:
            transaction.append_each(Log.TASKS, requests)
        log.info("error callbacks asked for", runs=len(requests))
        return True


def _request(ended: Recorded, *, at: datetime) -> NewEvent | None:
    """The run that calls the callbacks of an end; None where there are none, or they have been called."""
    event = ended.event
    said, errbacks = went_wrong(event), _errbacks(event)
    if said is None or not errbacks or not isinstance(event, TaskEvent):
        return None
    run_id = derived_run_id(ended.event_id, CALL, event.timestamp)
    request = TaskRequested(
        originator_id=run_stream(run_id),
        originator_version=SLOT_REQUESTED,
        timestamp=at,
        task=CALL,
        kwargs={"run_id": run_id_of(event.originator_id), "task": event.task, "errbacks": errbacks, **said._asdict()},
        tier=TIER_OF_QUEUE.get(str(getattr(event, "queue", None)), Tier.NORMAL).value,
    )
    return NewEvent(request, uuid5(ended.event_id, CALL), cause_of(ended, actor="dispatch").metadata())


def _errbacks(event: Any) -> list[Any]:
    if isinstance(event, TaskFailure):
        return list(event.errbacks)
    return errbacks_in(event.message) if isinstance(event, TaskDeadLettered) and event.message is not None else []


def errbacks_in(message: KeptMessage) -> list[Any]:
    """The error callbacks that a message of Celery's names; none where it cannot be read."""
    try:
        whole = message.body_bytes() or b""
        _, _, embed = msgspec.json.decode(whole, type=tuple[Any, Any, dict[str, Any] | None])
    except (ValueError, RecursionError):
        return []
    found = (embed or {}).get("errbacks")
    return found if isinstance(found, list) and all(isinstance(each, dict) for each in found) else []
