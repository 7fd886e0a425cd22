"""Waits: a run that goes on once something has happened, or once a time has come.

A wait lies within its run's stream: it is what an attempt came to, and its end is what brings about the next attempt.
It has one slot for its beginning, the attempt's outcome, and one for its end, whatever the end; so it ends once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from domain.aggregate import Event
from domain.kept_message import KeptMessage
from domain.message_data import Moment
from domain.moment import BOUNDS, is_within_bounds
from domain.task_run import SLOT_HELD, AttemptEvent, Phase, attempt_slot

_SUBJECTS: Final = {"task_run": "run_id"}
_NOTHING: Final = object()
LONGEST_LOOKBACK_SECONDS: Final = 315_360_000
"""Ten years."""


class WaitTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a step waits for.

    Attributes:
        event: stored name of the event; None: a time alone.
        match: what the event has to say: by the name of a field of its data (``data.order`` for a field within one), or
            of what it is about (``license_id``), the value.
        since: events recorded before it do not count; None: those before the workflow began do not.
        lookback_seconds: by how much earlier than the workflow's beginning an event may have been recorded.
        until: what is waited for as a time alone, or until when an event may come; None: for ever.
    """

    event: str | None = None
    match: dict[str, Any] = {}
    since: Moment | None = None
    lookback_seconds: float = 0.0
    until: Moment | None = None

    def __post_init__(self) -> None:
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None and not is_within_bounds(moment):
                raise ValueError(f"{name}: {moment.isoformat()} is not {BOUNDS}")
        if not 0 <= self.lookback_seconds <= LONGEST_LOOKBACK_SECONDS:
            raise ValueError(
                f"since: {self.lookback_seconds} seconds back; allowed are 0 to {LONGEST_LOOKBACK_SECONDS}"
            )


class TaskWaitBegan(AttemptEvent, frozen=True, kw_only=True):
    """The attempt waits for an event or a time, and is in no queue; its message is kept here until the wait ends."""

    TOPIC: ClassVar[str] = "task.wait_began"
    terms: WaitTerms
    message: KeptMessage
    """Of the attempt that follows the wait."""
    priority: int | None = None
    root_id: str | None = None
    """The first run of its workflow."""
    runtime_seconds: float | None = None

    def slot(self) -> int:
        """Third within the attempt: it is what the attempt came to."""
        return attempt_slot(self.attempt, Phase.OUTCOME)


class WaitEnd(AttemptEvent, frozen=True, kw_only=True):
    """How a wait ended: the run goes on with its next attempt. ``attempt`` is the one that waited."""

    def slot(self) -> int:
        """There is one, whatever the end; the attempt's own places are all taken."""
        return SLOT_HELD + attempt_slot(self.attempt, Phase.IGNORED)


class AwaitedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event that satisfied a wait, as the step returns it."""

    id: str
    name: str
    stream: str
    log: str
    position: int
    data: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime


class TaskWaitSatisfied(WaitEnd, frozen=True, kw_only=True):
    """What was waited for has happened. ``came`` is the event; None: it was a time."""

    TOPIC: ClassVar[str] = "task.wait_satisfied"
    came: AwaitedEvent | None = None


class TaskWaitTimedOut(WaitEnd, frozen=True, kw_only=True):
    """The event that was waited for did not come in time."""

    TOPIC: ClassVar[str] = "task.wait_timed_out"
    until: datetime


def facts_of(event: Event) -> dict[str, Any]:
    """What a wait can match: the event's own fields, and what it is about (``license_id``, ``run_id`` …)."""
    kind, _, subject = event.originator_id.partition("-")
    return {_SUBJECTS.get(kind, f"{kind}_id"): subject} | event.data()


def value_at(facts: Mapping[str, Any], path: str) -> Any:
    """The value under a field's name, or names with dots between them; an object of its own where there is none."""
    found: Any = facts
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return _NOTHING
        found = found[name]
    return found


def matches(terms: WaitTerms, event: Event, *, recorded_at: datetime, since: datetime) -> bool:
    """Whether an event is what is waited for.

    Args:
        terms: of the wait.
        event: any.
        recorded_at: when it was.
        since: from when on events count.
    """
    if terms.event != event.TOPIC or recorded_at < since:
        return False
    if terms.until is not None and recorded_at > terms.until:
        return False
    facts = facts_of(event)
    return all(value_at(facts, path) == value for path, value in terms.match.items())
