"""Publishing again what is nowhere: a copy of the message that the run waits for, confirmed, then recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import uuid5

from msgspec.structs import replace

from domain.task_run import SLOT_END, TaskEvent, TaskRepublished, TaskRequested, TaskStarted, run_stream, task_event
from infra.broker.delay import delay_route
from infra.broker.frames import OutgoingMessage
from infra.broker.publisher import Publisher
from infra.event_store import EventStore, Log, NewEvent, Recorded
from tasks.dispatch.causes import cause_of
from tasks.dispatch.celery_message import celery_message
from tasks.reconcile.open_run import OpenRun, Place

MISSING: Final = "missing"
PUBLISH_WITHIN: Final = timedelta(seconds=30)
BATCH_RUNS: Final = 200


class Repaired(NamedTuple):
    """What became of the runs.

    Attributes:
        published: again, and recorded so.
        unknown: the log does not say what they were to do (nobody requested them of us: a direct Celery call).
        moved: something was told of them meanwhile; they were left alone.
        refused: the broker did not take them, with its words.
    """

    published: list[OpenRun]
    unknown: list[OpenRun]
    moved: list[OpenRun]
    refused: list[tuple[OpenRun, str]]


class _Copy(NamedTuple):
    run: OpenRun
    requested: Recorded
    attempt: int
    message: OutgoingMessage


class Repairer:
    """Publishes runs again.

    A run that turns out to exist after all may be executed twice and ends once: it has one end slot.

    Args:
        store: the log.
        publisher: confirmed.
        actor: who asked for it.
        clock: the present, UTC.
    """

    def __init__(self, store: EventStore, publisher: Publisher, *, actor: str, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._publisher = publisher
        self._actor = actor
        self._clock = clock

    def repair(self, runs: Sequence[OpenRun]) -> Repaired:
        """Publish each of ``runs`` again, and record it.

        Raises:
            BrokerError: the broker went away; what it had confirmed of the batch may be published once more.
        """
        done = Repaired([], [], [], [])
        for first in range(0, len(runs), BATCH_RUNS):
            self._repair_batch(runs[first : first + BATCH_RUNS], done)
        return done

    def _repair_batch(self, runs: Sequence[OpenRun], done: Repaired) -> None:
        streams = self._store.load(Log.TASKS, [run_stream(run.run_id) for run in runs])
        copies = []
        for run in runs:
            if _has_moved(run, streams.get(run_stream(run.run_id), [])):
                done.moved.append(run)
            elif (requested := self._request(run)) is None:
                done.unknown.append(run)
            else:
                copies.append(_copy(run, requested, now=self._clock()))
        answers = self._publisher.publish([copy.message for copy in copies], timeout=PUBLISH_WITHIN)
        confirmed = [copy for copy, answer in zip(copies, answers, strict=True) if answer.confirmed]
        self._store.append_each(Log.TASKS, [self._fact(copy) for copy in confirmed])
        done.published.extend(copy.run for copy in confirmed)
        done.refused.extend(
            (copy.run, answer.text) for copy, answer in zip(copies, answers, strict=True) if not answer.confirmed
        )

    def _request(self, run: OpenRun) -> Recorded | None:
        if run.request_position is None:
            return None
        page = self._store.read(Log.TASKS, after=run.request_position - 1, limit=1, names=(TaskRequested.TOPIC,))
        return next((found for found in page.events if found.position == run.request_position), None)

    def _fact(self, copy: _Copy) -> NewEvent:
        number = copy.run.copies + 1
        data = {
            "task": copy.run.task,
            "copy": number,
            "attempt": copy.attempt,
            "reason": MISSING,
            "queue": copy.run.tier.queue,
            "priority": copy.message.priority,
        }
        event = task_event(TaskRepublished.TOPIC, copy.run.run_id, at=self._clock(), data=data)
        event_id = uuid5(copy.requested.event_id, f"{TaskRepublished.TOPIC}/{number}")
        return NewEvent(event, event_id, cause_of(copy.requested, actor=self._actor).metadata())


def _has_moved(run: OpenRun, events: Iterable[object]) -> bool:
    """Whether the run has ended, or gone on to another attempt than the one that is to be published."""
    told = [event for event in events if isinstance(event, TaskEvent)]
    ended = any(event.originator_version == SLOT_END for event in told)
    attempts = [getattr(event, "attempt", 1) for event in told]
    copies = sum(isinstance(event, TaskRepublished) for event in told)
    begun = run.place is not Place.WORKER and any(
        isinstance(event, TaskStarted) and event.attempt == run.attempt for event in told
    )
    return ended or begun or copies != run.copies or max(attempts, default=1) > run.attempt


def _copy(run: OpenRun, requested: Recorded, *, now: datetime) -> _Copy:
    """The message that the run waits for; where a worker had begun the attempt before it vanished, the next one's."""
    attempt = run.attempt + 1 if run.place is Place.WORKER else run.attempt
    first = celery_message(requested)
    delay = max(run.due - now, timedelta(0)) if run.due is not None else timedelta(0)
    exchange, routing_key = delay_route(delay, run.tier.queue)
    counted = {"ledgerq-attempt": attempt, "retries": attempt - 1 - run.spared, "ledgerq-copy": run.copies + 1}
    spared = {"ledgerq-spared": run.spared} if run.spared else {}
    headers = {**(first.headers or {}), **counted, **spared}
    message = replace(
        first,
        exchange=exchange,
        routing_key=routing_key,
        headers=headers,
        priority=run.priority,
        message_id=f"{run.run_id}/{attempt}/copy-{run.copies + 1}",
    )
    return _Copy(run, requested, attempt, message)
