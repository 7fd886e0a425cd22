"""A run as its events tell it: the state it is in, and what may still be done about it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from domain.refusal import Refusal
from domain.task_run import (
    SLOT_COPIES,
    SLOT_END,
    STARVING,
    AttemptEvent,
    TaskDeadLettered,
    TaskEvent,
    TaskExpired,
    TaskFailed,
    TaskLost,
    TaskPublished,
    TaskReceived,
    TaskRejected,
    TaskRepublished,
    TaskRequested,
    TaskRetryScheduled,
    TaskRevocationRequested,
    TaskRevoked,
    TaskStarted,
    TaskSucceeded,
    TaskTimedOut,
    order_of,
    run_stream,
    task_event,
)
from domain.wait import TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut


class RunAlreadyEnded(Refusal):
    """the run has ended ({state}); there is nothing left to take back."""


class RevocationAlreadyRequested(Refusal):
    """somebody has asked for the run to be revoked already."""


class RunNotWaiting(Refusal):
    """the run does not wait in its queue: {state}."""


class PriorityAlreadyRaised(Refusal):
    """the run's priority has been raised already."""


class RunState(StrEnum):
    """Where a run is. The last seven are ends."""

    REQUESTED = "requested"
    PUBLISHED = "published"
    HELD = "held"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    REJECTED = "rejected"
    REVOKED = "revoked"
    EXPIRED = "expired"
    DEAD_LETTERED = "dead_lettered"

    @property
    def is_end(self) -> bool:
        """Whether nothing more happens to a run in this state."""
        return self not in {self.REQUESTED, self.PUBLISHED, self.HELD, self.RUNNING, self.RETRYING, self.WAITING}


STATE_AFTER: Final[dict[str, RunState]] = {
    TaskRequested.TOPIC: RunState.REQUESTED,
    TaskPublished.TOPIC: RunState.PUBLISHED,
    TaskReceived.TOPIC: RunState.HELD,
    TaskStarted.TOPIC: RunState.RUNNING,
    TaskRetryScheduled.TOPIC: RunState.RETRYING,
    TaskWaitBegan.TOPIC: RunState.WAITING,
    TaskWaitSatisfied.TOPIC: RunState.RETRYING,
    TaskWaitTimedOut.TOPIC: RunState.RETRYING,
    TaskSucceeded.TOPIC: RunState.SUCCEEDED,
    TaskFailed.TOPIC: RunState.FAILED,
    TaskTimedOut.TOPIC: RunState.TIMED_OUT,
    TaskLost.TOPIC: RunState.LOST,
    TaskRejected.TOPIC: RunState.REJECTED,
    TaskRevoked.TOPIC: RunState.REVOKED,
    TaskExpired.TOPIC: RunState.EXPIRED,
    TaskDeadLettered.TOPIC: RunState.DEAD_LETTERED,
}
"""The state a run is in once this event is the one with its highest slot, leaving aside what comes after the end."""


END_NAMES: Final = frozenset(name for name, state in STATE_AFTER.items() if state.is_end)


class TaskRun(msgspec.Struct, kw_only=True):
    """A run as its events tell it, in whatever order they came."""

    run_id: str
    task: str
    state: RunState
    attempts: int
    events: tuple[TaskEvent, ...]

    @property
    def is_ended(self) -> bool:
        """Whether the run's one end has been recorded."""
        return any(event.originator_version == SLOT_END for event in self.events)

    def request_revocation(self, *, reason: str, at: datetime) -> TaskRevocationRequested:
        """The fact that somebody wants it not to be executed, or not any longer.

        Raises:
            RunAlreadyEnded: it is too late.
            RevocationAlreadyRequested: somebody has asked before.
        """
        stream = run_stream(self.run_id)
        if self.is_ended:
            raise RunAlreadyEnded(stream, state=self.state.value)
        if any(isinstance(event, TaskRevocationRequested) for event in self.events):
            raise RevocationAlreadyRequested(stream)
        return revocation_requested(self.run_id, task=self.task, reason=reason, at=at)

    def raise_priority(self, *, queue: str, to: int, at: datetime) -> TaskRepublished:
        """The fact that another copy of its first message, with priority ``to``, counts from now on.

        Raises:
            RunNotWaiting: it has not been published, a worker has had it, or it has ended.
            PriorityAlreadyRaised: once is enough.
        """
        stream = run_stream(self.run_id)
        if self.state is not RunState.PUBLISHED:
            raise RunNotWaiting(stream, state=self.state.value)
        copies = [event for event in self.events if isinstance(event, TaskRepublished)]
        if any(copy.reason == STARVING for copy in copies):
            raise PriorityAlreadyRaised(stream)
        number = 1 + max((copy.copy for copy in copies), default=0)
        told = {"task": self.task, "copy": number, "attempt": 1, "reason": STARVING, "queue": queue, "priority": to}
        event = task_event(TaskRepublished.TOPIC, self.run_id, at=at, data=told)
        assert isinstance(event, TaskRepublished)  # noqa: S101  it was made so
        return event

    def spared_before(self, attempt: int) -> int:
        """How many attempts before ``attempt`` do not count against the budget (header ``ledgerq-spared``)."""
        spared = [event.attempt for event in self.events if isinstance(event, TaskRetryScheduled) and event.is_spared]
        waited = [event.attempt for event in self.events if isinstance(event, TaskWaitBegan)]
        return sum(each < attempt for each in spared + waited)

    @classmethod
    def fold(cls, events: list[TaskEvent]) -> TaskRun:
        """The run after ``events``: at least one, all of one stream."""
        ordered = tuple(sorted(events, key=lambda event: order_of(event.originator_version)))
        telling = [event for event in ordered if order_of(event.slot()) <= SLOT_END and event.TOPIC in STATE_AFTER]
        last = telling[-1] if telling else ordered[-1]
        attempts = [event.attempt for event in ordered if isinstance(event, AttemptEvent)]
        return cls(
            run_id=last.originator_id.removeprefix("task_run-"),
            task=last.task,
            state=STATE_AFTER.get(last.TOPIC, RunState.REQUESTED),
            attempts=max(attempts, default=0),
            events=ordered,
        )


def revocation_requested(
    run_id: UUID | str,
    *,
    task: str,
    reason: str,
    at: datetime,
    error_type: str = "Revoked",
    decided_by: str | None = None,
) -> TaskRevocationRequested:
    """The fact that somebody wants a run not to be executed of which nothing else need be known.

    Args:
        run_id: the run.
        task: its task's name.
        reason: why.
        at: when it was asked for.
        error_type: what the run's end says that it came to.
        decided_by: id of the event because of which it is asked for, of the run's license or of its story.
    """
    return TaskRevocationRequested(
        originator_id=run_stream(run_id),
        originator_version=SLOT_COPIES,
        timestamp=at,
        task=task,
        reason=reason,
        error_type=error_type,
        decided_by=decided_by,
    )
