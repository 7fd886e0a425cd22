"""Schedules: tasks that are asked for again and again, each slot once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from domain.aggregate import Aggregate, Created, Event
from domain.refusal import Refusal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduleUnchanged(Refusal):
    """the schedule is as asked for already."""


class Schedule(Aggregate):
    """What is to be asked for, and how often."""

    TOPIC: ClassVar[str] = "schedule"

    if TYPE_CHECKING:  # the library would make a dataclass of annotations; the first event assigns these
        name: str
        task: str
        every_seconds: float
        kwargs: dict[str, Any]
        tier: str

    @classmethod
    def declare(
        cls,
        name: str,
        *,
        task: str,
        every: timedelta,
        at: datetime,
        kwargs: dict[str, Any] | None = None,
        tier: str = "normal",
    ) -> Self:
        """Declare a schedule that asks for ``task`` once in every interval ``every``, counted from the epoch."""
        return cls.begin(
            ScheduleDeclared,
            stream_id=schedule_stream(name),
            at=at,
            schedule=name,
            task=task,
            every_seconds=every.total_seconds(),
            kwargs=kwargs or {},
            tier=tier,
        )

    def change_interval(self, *, every: timedelta, at: datetime) -> None:
        """Ask more or less often from now on.

        Raises:
            ScheduleUnchanged: that is the interval already.
        """
        if every.total_seconds() == self.every_seconds:
            raise ScheduleUnchanged(self.id)
        self.record(
            ScheduleIntervalChanged,
            at=at,
            every_seconds=every.total_seconds(),
            previous_every_seconds=self.every_seconds,
        )

    def slot_at(self, now: datetime) -> datetime:
        """The latest slot that has come at ``now``."""
        every = timedelta(seconds=self.every_seconds)
        return EPOCH + (now - EPOCH) // every * every

    def fire(self, slot: datetime, *, at: datetime) -> ScheduleFired:
        """The fact that ``slot`` was fired; each slot is a stream of its own, so that it can happen once only."""
        return ScheduleFired(
            originator_id=f"schedule_slot-{self.name}@{slot.isoformat()}",
            originator_version=1,
            timestamp=at,
            schedule=self.name,
            slot_at=slot,
            task=self.task,
            kwargs=self.kwargs,
            tier=self.tier,
        )


def schedule_stream(name: str) -> str:
    """Stream of the schedule called ``name``."""
    return f"schedule-{name}"


class ScheduleDeclared(Created, frozen=True, kw_only=True):
    """A schedule came into being."""

    TOPIC: ClassVar[str] = "schedule.declared"
    schedule: str
    task: str
    every_seconds: float
    kwargs: dict[str, Any]
    tier: str

    def apply(self, aggregate: Schedule) -> None:
        """Assign the terms."""
        aggregate.name = self.schedule
        aggregate.task = self.task
        aggregate.every_seconds = self.every_seconds
        aggregate.kwargs = self.kwargs
        aggregate.tier = self.tier


class ScheduleIntervalChanged(Event, frozen=True, kw_only=True):
    """The schedule asks more or less often."""

    TOPIC: ClassVar[str] = "schedule.interval_changed"
    every_seconds: float
    previous_every_seconds: float

    def apply(self, aggregate: Schedule) -> None:
        """Assign the interval."""
        aggregate.every_seconds = self.every_seconds


class ScheduleFired(Event, frozen=True, kw_only=True):
    """A slot came and its task was asked for."""

    TOPIC: ClassVar[str] = "schedule.fired"
    schedule: str
    slot_at: datetime
    task: str
    kwargs: dict[str, Any]
    tier: str
