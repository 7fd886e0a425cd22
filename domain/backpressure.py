"""Backpressure: a tier takes no more for now, and the runs that wait because of it are safe in the log.

An episode begins when the tier's queue on the broker is full and ends when there is room in it again. It is folded, and
its verbs answer with the fact that is to be appended.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final, TypeVar

import msgspec

from domain.aggregate import Event
from domain.refusal import Refusal
from domain.tier import Tier

ROOM_AGAIN: Final = 0.8
"""The part of its limit that a full queue has to fall to before it is filled again; so one change is not many."""


class BacklogFull(Refusal):
    """the backlog of tier {tier} is full: {backlog_runs} runs wait to be published, {limit_runs} may; ask later."""


class BackpressureEvent(Event, frozen=True, kw_only=True):
    """What was seen of a tier's queue, and of the runs that wait for it."""

    tier: str
    queue: str
    ready_messages: int
    """Messages that lie in the queue and are in no worker's hand."""
    limit_messages: int
    """From how many on dispatch adds no more."""
    backlog_runs: int
    """Accepted runs of the tier that dispatch has not published; counted up to 100,000."""


class BackpressureBegan(BackpressureEvent, frozen=True, kw_only=True):
    """The tier's queue is full: from here on its accepted runs wait in the log."""

    TOPIC: ClassVar[str] = "backpressure.began"


class BackpressureEnded(BackpressureEvent, frozen=True, kw_only=True):
    """There is room in the tier's queue again: runs that waited in the log follow."""

    TOPIC: ClassVar[str] = "backpressure.ended"


AnyBackpressureEvent = TypeVar("AnyBackpressureEvent", bound=BackpressureEvent)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A look at a tier's queue and at what waits for it; see :class:`BackpressureEvent`."""

    ready_messages: int
    limit_messages: int
    backlog_runs: int
    at: datetime

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be added."""
        return self.ready_messages >= self.limit_messages

    @property
    def has_room_again(self) -> bool:
        """Whether a queue that was full may be filled again."""
        return self.ready_messages <= self.limit_messages * ROOM_AGAIN


class Backpressure(msgspec.Struct, frozen=True):
    """The backpressure of a tier while dispatch stands at one place of the log, as its events tell it.

    Attributes:
        tier: whose.
        place: the position up to which the tier's runs have been published; it does not move while they are held, so
            whoever takes dispatch over finds the episode by it.
        version: how many things have happened.
        is_on: whether the tier's runs are held.
    """

    tier: Tier
    place: int
    version: int = 0
    is_on: bool = False

    @property
    def stream(self) -> str:
        """Its stream."""
        return f"backpressure-{self.tier}@{self.place}"

    def after(self, event: Event) -> Backpressure:
        """The backpressure once ``event`` has happened."""
        is_on = isinstance(event, BackpressureBegan)
        return msgspec.structs.replace(self, version=event.originator_version, is_on=is_on)

    def begin(self, seen: Seen) -> BackpressureBegan:
        """The fact that the tier's runs are held from here on."""
        return self._next(BackpressureBegan, seen)

    def end(self, seen: Seen) -> BackpressureEnded:
        """The fact that they are held no longer."""
        return self._next(BackpressureEnded, seen)

    def _next(self, event_class: type[AnyBackpressureEvent], seen: Seen) -> AnyBackpressureEvent:
        return event_class(
            originator_id=self.stream,
            originator_version=self.version + 1,
            timestamp=seen.at,
            tier=self.tier.value,
            queue=self.tier.queue,
            ready_messages=seen.ready_messages,
            limit_messages=seen.limit_messages,
            backlog_runs=seen.backlog_runs,
        )
