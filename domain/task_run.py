"""Task runs: what becomes of one accepted task, from its acceptance to its one recorded end.

A run's events come from several processes and may arrive twice and out of order, so their version is not a count:
it is the event's *slot*, which follows from what the event is. The same thing told twice lands in the same slot and is
recognized; a run has one end slot, so it cannot end twice. Runs are therefore logs with holes, folded by
:class:`domain.run.TaskRun`, and not aggregates of the library.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

import msgspec

from domain.aggregate import Event, event_class
from domain.kept_message import Carried, KeptMessage
from domain.refusal import Refusal

SLOT_REQUESTED: Final = 1
SLOT_PUBLISHED: Final = 2
SLOTS_PER_ATTEMPT: Final = 8
LAST_ATTEMPT: Final = 1_000_000
"""No run comes near it; a number beyond could name a slot that is another's."""
SLOT_END: Final = 2**30
SLOT_DEAD_LETTERED: Final = SLOT_END + 1
SLOT_COPIES: Final = 2**31
"""From here on the places of what is done about a run from outside of its attempts; none of it changes its state."""
LAST_COPY: Final = 1_000_000
SLOT_HELD: Final = 2**33
"""From here on the places of holds for which the attempts' own slots have no room; see :func:`order_of`."""
STARVING: Final = "starving"
"""Why a copy is published: the run waited for too long while more urgent ones began."""

DEFAULT_MAX_RETRIES: Final = 3
"""How many attempts may follow the first one, over all causes together."""


class RunAlreadyRequested(Refusal):
    """a run of this id exists already: another message requested it, or a worker told of it."""


class Phase:
    """Places within the slots of one attempt."""

    RECEIVED: Final = 0
    STARTED: Final = 1
    OUTCOME: Final = 2
    IGNORED: Final = 3


class HoldReason(StrEnum):
    """Why a message whose time has come goes back into the delay ladder; it stays the same attempt."""

    PAUSED = "paused"
    RATE_LIMITED = "rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"
    LIMITER_AWAY = "limiter_away"
    """The task has limits and nobody can say whether they are reached."""
    LICENSE_SUSPENDED = "license_suspended"
    """The license that the run names is suspended."""
    LICENSE_TERM_OVER = "license_term_over"
    """The license's term has ended and nobody has recorded yet what came of it; it may have been renewed in time."""
    LICENSE_AWAY = "license_away"
    """The run names a license and nobody can say how it stands."""


_HOLD_PLACES: Final[dict[str, int]] = {
    HoldReason.PAUSED: 1,
    HoldReason.RATE_LIMITED: 2,
    HoldReason.CONCURRENCY_LIMITED: 3,
    HoldReason.LIMITER_AWAY: 4,
}
"""Places before those of the attempt; that is all the room there is."""
_FAR_HOLD_PLACES: Final[dict[str, int]] = {
    HoldReason.LICENSE_SUSPENDED: 0,
    HoldReason.LICENSE_AWAY: 1,
    HoldReason.LICENSE_TERM_OVER: 2,
}


RUN_STREAM_PREFIX: Final = "task_run-"


def run_stream(run_id: UUID | str) -> str:
    """Stream of the run known to Celery by the task id ``run_id``."""
    return f"{RUN_STREAM_PREFIX}{run_id}"


def attempt_slot(attempt: int, phase: int) -> int:
    """Version of an event of ``attempt`` (from 1) in ``phase``."""
    return attempt * SLOTS_PER_ATTEMPT + phase


def order_of(slot: int) -> int:
    """The slot among those that tell a run's state by their order, where one lies that has its place elsewhere.

    A hold comes before the start of its attempt; the end of a wait, after what its attempt came to.
    """
    if not SLOT_HELD <= slot < SLOT_HELD + attempt_slot(LAST_ATTEMPT + 1, 0):
        return slot
    attempt, place = divmod(slot - SLOT_HELD, SLOTS_PER_ATTEMPT)
    return attempt_slot(attempt, Phase.IGNORED if place == Phase.IGNORED else Phase.RECEIVED)


class TaskEvent(Event, frozen=True, kw_only=True):
    """Anything that happens to a run; ``task`` is the Celery task's name."""

    task: str

    def slot(self) -> int:
        """The version that follows from what this event is."""
        raise NotImplementedError


class TaskRequested(TaskEvent, frozen=True, kw_only=True):
    """The platform accepted a task; from here on it will end in exactly one recorded way."""

    TOPIC: ClassVar[str] = "task.requested"
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = msgspec.field(default_factory=dict)
    tier: str = "normal"
    priority: int | None = None
    license_id: str | None = None
    expires_at: datetime | None = None
    replay_of: str | None = None  # the run that died, and in whose place this one is
    replay_id: str | None = None
    generation: int = 0  # how many replays led here
    carried: Carried | None = None

    def slot(self) -> int:
        """Acceptance comes first."""
        return SLOT_REQUESTED


class TaskPublished(TaskEvent, frozen=True, kw_only=True):
    """The broker confirmed that it holds the run in ``queue``."""

    TOPIC: ClassVar[str] = "task.published"
    queue: str
    priority: int

    def slot(self) -> int:
        """Publication comes second."""
        return SLOT_PUBLISHED


class AttemptEvent(TaskEvent, frozen=True, kw_only=True):
    """Something that happens within one attempt, from 1; ``queue`` and ``worker`` say where."""

    attempt: Annotated[int, msgspec.Meta(ge=1, le=LAST_ATTEMPT)]
    queue: str | None = None
    worker: str | None = None


class TaskReceived(AttemptEvent, frozen=True, kw_only=True):
    """A worker holds the message until ``eta``; recorded only where the start does not follow at once."""

    TOPIC: ClassVar[str] = "task.received"
    eta: datetime | None = None
    because: str | None = None
    """Why it has to wait although its time had come (a :class:`HoldReason`); None: it had not."""
    decided_by: str | None = None
    """Id of the event of the run's license because of which it waits."""

    def slot(self) -> int:
        """First within the attempt; each reason has a place of its own before that, so that each is told once."""
        received = attempt_slot(self.attempt, Phase.RECEIVED)
        if (place := _FAR_HOLD_PLACES.get(self.because or "")) is not None:
            return SLOT_HELD + received + place
        return received - _HOLD_PLACES.get(self.because or "", 0)


class TaskStarted(AttemptEvent, frozen=True, kw_only=True):
    """A worker's child began to execute the task."""

    TOPIC: ClassVar[str] = "task.started"
    received_at: datetime | None = None
    priority: int | None = None
    pid: int | None = None
    code_version: str | None = None
    license_id: str | None = None
    copy: int = 0
    """Which message of the attempt it was (header ``ledgerq-copy``)."""
    admitted_by: str | None = None
    """Id of the event of the run's license because of which it was admitted; None where no license decides."""

    def slot(self) -> int:
        """Second within the attempt."""
        return attempt_slot(self.attempt, Phase.STARTED)


class TaskRetryScheduled(AttemptEvent, frozen=True, kw_only=True):
    """The attempt came to nothing and another one will follow after ``delay_seconds``."""

    TOPIC: ClassVar[str] = "task.retry_scheduled"
    spent_by: str
    """What took the attempt: ``exception``, ``worker_lost``, ``redelivered``, ``snooze`` or ``shutdown``."""
    error_type: str
    error: str
    delay_seconds: float
    runtime_seconds: float | None = None
    is_spared: bool = False
    """Whether the attempt does not count against the task's budget."""
    code_version: str | None = None
    """Version of the code of whoever says so; of what ran, :class:`TaskStarted` says it."""

    def slot(self) -> int:
        """Third within the attempt."""
        return attempt_slot(self.attempt, Phase.OUTCOME)


class TaskEnd(AttemptEvent, frozen=True, kw_only=True):
    """How a run ended; a run has one end."""

    def slot(self) -> int:
        """There is one end slot, whatever the end."""
        return SLOT_END


class TaskSucceeded(TaskEnd, frozen=True, kw_only=True):
    """The task returned. ``result`` is its value as JSON text, cut at a stated length."""

    TOPIC: ClassVar[str] = "task.succeeded"
    result: str | None = None
    runtime_seconds: float | None = None


class TaskFailure(TaskEnd, frozen=True, kw_only=True):
    """An end that is no success, for a stated reason. ``critical``: the task is one whose failures people are told."""

    error_type: str
    error: str
    traceback: str | None = None
    runtime_seconds: float | None = None
    critical: bool = False
    code_version: str | None = None
    """Version of the code of whoever says so, which may not be what ran: that is in :class:`TaskStarted`."""
    decided_by: str | None = None
    """Id of the event because of which it was refused or revoked: of the run's license, or of its story."""
    errbacks: tuple[dict[str, Any], ...] = ()
    """Error callbacks, as Celery's signatures, that nobody who saw the failure has called."""


class TaskFailed(TaskFailure, frozen=True, kw_only=True):
    """The task raised, and no attempt is left or the error is not one to retry."""

    TOPIC: ClassVar[str] = "task.failed"


class TaskTimedOut(TaskFailure, frozen=True, kw_only=True):
    """The task exceeded its hard time limit and was killed."""

    TOPIC: ClassVar[str] = "task.timed_out"


class TaskLost(TaskFailure, frozen=True, kw_only=True):
    """The process that executed the task died, again and again, until no attempt was left."""

    TOPIC: ClassVar[str] = "task.lost"


class TaskRejected(TaskFailure, frozen=True, kw_only=True):
    """The message could not be executed at all: malformed, unknown task, or refused by the task itself."""

    TOPIC: ClassVar[str] = "task.rejected"


class TaskRevoked(TaskFailure, frozen=True, kw_only=True):
    """Somebody took the task back."""

    TOPIC: ClassVar[str] = "task.revoked"


class TaskExpired(TaskFailure, frozen=True, kw_only=True):
    """The task's time to be started had passed when a worker received it."""

    TOPIC: ClassVar[str] = "task.expired"


class TaskDeadLettered(TaskEvent, frozen=True, kw_only=True):
    """The message lies in the dead-letter queue.

    Where a worker rejected it, the end has been recorded with its reason and this only says where the message is.
    Where the broker did it (``expired``, ``maxlen``, ``delivery_limit``), no worker saw it and this is the end.
    """

    TOPIC: ClassVar[str] = "task.dead_lettered"
    reason: str
    queue: str | None = None
    priority: int | None = None
    license_id: str | None = None
    message: KeptMessage | None = None  # the broker keeps it for a day, the log for ever

    def slot(self) -> int:
        """The end where the broker made it so; else the place after the end."""
        return SLOT_DEAD_LETTERED if self.reason == "rejected" else SLOT_END


class TaskRepublished(TaskEvent, frozen=True, kw_only=True):
    """The broker confirmed another copy of the message of ``attempt``; only the latest copy counts.

    The message says which copy it is in its header ``ledgerq-copy``; the first one, which has none, is copy 0.
    """

    TOPIC: ClassVar[str] = "task.republished"
    copy: Annotated[int, msgspec.Meta(ge=1, le=LAST_COPY)]
    """Counts the copies of the run, over all attempts, from 1."""
    attempt: Annotated[int, msgspec.Meta(ge=1, le=LAST_ATTEMPT)]
    reason: str
    """Why: ``missing`` (it was nowhere), ``starving`` (it waited for too long; its priority is raised)."""
    queue: str | None = None
    priority: int | None = None

    def slot(self) -> int:
        """A place for each copy."""
        return SLOT_COPIES + self.copy


class TaskRevocationRequested(TaskEvent, frozen=True, kw_only=True):
    """Somebody wants the run not to be executed, or not any longer; it ends as revoked unless it ended before."""

    TOPIC: ClassVar[str] = "task.revocation_requested"
    reason: str
    error_type: str = "Revoked"
    """What the run's end says that it came to."""
    decided_by: str | None = None
    """Id of the event because of which it is asked for, of the run's license or of its story; None: a person asks."""

    def slot(self) -> int:
        """One place, before those of the copies: it is asked for once."""
        return SLOT_COPIES


class TaskOutcomeIgnored(AttemptEvent, frozen=True, kw_only=True):
    """An attempt reported ``outcome`` after the run had ended otherwise or gone on; recorded, and changes nothing."""

    TOPIC: ClassVar[str] = "task.outcome_ignored"
    outcome: str

    def slot(self) -> int:
        """Last within the attempt."""
        return attempt_slot(self.attempt, Phase.IGNORED)


def task_event(name: str, run_id: UUID | str, *, at: datetime, data: dict[str, Any]) -> TaskEvent:
    """The event ``name`` of a run, in the slot that follows from it.

    Args:
        name: stored name (``task.started``).
        run_id: the run.
        at: when it occurred.
        data: the event's own fields.

    Raises:
        UnknownEventError: no event has that name.
        msgspec.ValidationError: ``data`` does not fit the event.
    """
    envelope = {"originator_id": run_stream(run_id), "originator_version": 0, "timestamp": at}
    event = msgspec.convert({**data, **envelope}, event_class(name))
    if not isinstance(event, TaskEvent):
        raise TypeError(f"{name} is not an event of a task run")
    return msgspec.structs.replace(event, originator_version=event.slot())
