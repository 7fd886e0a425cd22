"""Flows: what passes through a queue, or of a task, on its way to workers; people pause it, resume it and limit it.

A flow needs no beginning: one that nobody ever touched flows. It is folded, and its verbs answer with the fact that is
to be appended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from domain.aggregate import Event
from domain.limits import ConcurrencyLimit, Limits, RateLimit
from domain.refusal import Refusal


class FlowKind(StrEnum):
    """What flows: the messages of a queue, or those of a task, wherever they are."""

    QUEUE = "queue"
    TASK = "task"


class FlowAlreadyPaused(Refusal):
    """the {kind} has been paused already: {reason}."""


class FlowNotPaused(Refusal):
    """the {kind} is not paused."""


class FlowLimitedSo(Refusal):
    """the {kind} has these limits already: {limits}."""


class FlowNotLimited(Refusal):
    """nobody has limited the {kind} otherwise than it is declared."""


class FlowEvent(Event, frozen=True, kw_only=True):
    """Anything that people do about a flow; ``kind`` and ``flow`` say which."""

    kind: FlowKind
    flow: str


class FlowPaused(FlowEvent, frozen=True, kw_only=True):
    """From here on no worker begins anything of it."""

    TOPIC: ClassVar[str] = "flow.paused"
    reason: str


class FlowResumed(FlowEvent, frozen=True, kw_only=True):
    """The pause is over."""

    TOPIC: ClassVar[str] = "flow.resumed"
    reason: str


class FlowLimited(FlowEvent, frozen=True, kw_only=True):
    """These limits hold for the task from here on, whatever it declares; a limit that is missing is none."""

    TOPIC: ClassVar[str] = "flow.limited"
    reason: str
    rate_permits: int | None = None
    rate_per_seconds: float | None = None
    rate_burst: int | None = None
    concurrency_most: int | None = None
    concurrency_key: str | None = None

    @property
    def limits(self) -> Limits:
        """The limits that hold."""
        rate = concurrency = None
        if self.rate_permits is not None and self.rate_per_seconds is not None:
            rate = RateLimit(self.rate_permits, timedelta(seconds=self.rate_per_seconds), self.rate_burst)
        if self.concurrency_most is not None:
            concurrency = ConcurrencyLimit(self.concurrency_most, self.concurrency_key)
        return Limits(rate, concurrency)


class FlowLimitsWithdrawn(FlowEvent, frozen=True, kw_only=True):
    """From here on the task has the limits again that it declares."""

    TOPIC: ClassVar[str] = "flow.limits_withdrawn"
    reason: str


FLOW_NAMES: Final = (FlowPaused.TOPIC, FlowResumed.TOPIC, FlowLimited.TOPIC, FlowLimitsWithdrawn.TOPIC)
AnyFlowEvent = TypeVar("AnyFlowEvent", bound=FlowEvent)


class Flow(msgspec.Struct, frozen=True):
    """A flow as its events tell it.

    Attributes:
        kind: queue or task.
        name: of the queue or the task.
        version: how many things have happened to it.
        paused: the fact that it was paused, if it is.
        limits: what somebody has put in place of the task's own limits; None: nobody has.
    """

    kind: FlowKind
    name: str
    version: int = 0
    paused: FlowPaused | None = None
    limits: Limits | None = None

    @property
    def stream(self) -> str:
        """Its stream."""
        return flow_stream(self.kind, self.name)

    def after(self, event: Event) -> Flow:
        """The flow once ``event`` has happened to it."""
        flow = msgspec.structs.replace(self, version=event.originator_version)
        match event:
            case FlowPaused():
                return msgspec.structs.replace(flow, paused=event)
            case FlowResumed():
                return msgspec.structs.replace(flow, paused=None)
            case FlowLimited():
                return msgspec.structs.replace(flow, limits=event.limits)
            case FlowLimitsWithdrawn():
                return msgspec.structs.replace(flow, limits=None)
            case _:
                return flow

    def pause(self, *, reason: str, at: datetime) -> FlowPaused:
        """Let workers begin nothing of it.

        Raises:
            FlowAlreadyPaused: somebody has.
        """
        if self.paused is not None:
            raise FlowAlreadyPaused(self.stream, kind=self.kind, reason=self.paused.reason)
        return self._next(FlowPaused, at=at, reason=reason)

    def resume(self, *, reason: str, at: datetime) -> FlowResumed:
        """Let workers go on.

        Raises:
            FlowNotPaused: they do.
        """
        if self.paused is None:
            raise FlowNotPaused(self.stream, kind=self.kind)
        return self._next(FlowResumed, at=at, reason=reason)

    def limit(self, limits: Limits, *, reason: str, at: datetime) -> FlowLimited:
        """Put limits in place of those that the task declares.

        Raises:
            FlowLimitedSo: they are these already.
        """
        if self.limits == limits:
            raise FlowLimitedSo(self.stream, kind=self.kind, limits=limits)
        rate, concurrency = limits.rate, limits.concurrency
        return self._next(
            FlowLimited,
            at=at,
            reason=reason,
            rate_permits=rate.permits if rate else None,
            rate_per_seconds=rate.per.total_seconds() if rate else None,
            rate_burst=rate.burst if rate else None,
            concurrency_most=concurrency.most if concurrency else None,
            concurrency_key=concurrency.key if concurrency else None,
        )

    def withdraw_limits(self, *, reason: str, at: datetime) -> FlowLimitsWithdrawn:
        """Let the limits hold again that the task declares.

        Raises:
            FlowNotLimited: they do.
        """
        if self.limits is None:
            raise FlowNotLimited(self.stream, kind=self.kind)
        return self._next(FlowLimitsWithdrawn, at=at, reason=reason)

    def _next(self, event_class: type[AnyFlowEvent], *, at: datetime, **data: Any) -> AnyFlowEvent:
        return event_class(
            originator_id=self.stream,
            originator_version=self.version + 1,
            timestamp=at,
            kind=self.kind,
            flow=self.name,
            **data,
        )


def flow_stream(kind: FlowKind, name: str) -> str:
    """Stream of the flow of the queue or task called ``name``."""
    return f"flow-{kind}-{name}"
