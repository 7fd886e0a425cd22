"""The schedules that Ledgerq ships, and their declaration in the log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import uuid4

import structlog

from domain.aggregate import Event, replay
from domain.cause import Cause
from domain.schedule import Schedule, schedule_stream
from domain.tier import Tier
from infra.event_store import EventStore, Log, LostRaceError, caused
from infra.settings import Settings

ACTOR: Final = "scheduler"

log = structlog.get_logger(__name__)


class ShippedSchedule(NamedTuple):
    """What a deployment's settings ask for; name of the schedule and of its task are the same."""

    name: str
    every: timedelta
    tier: Tier = Tier.NORMAL


def shipped(settings: Settings) -> tuple[ShippedSchedule, ...]:
    """The schedules every deployment has, at the intervals it has set."""
    return (
        ShippedSchedule("cleanup_zombie_sessions", timedelta(seconds=settings.sweep_interval_seconds)),
        ShippedSchedule("check_license_expirations", timedelta(seconds=settings.expiry_interval_seconds)),
        ShippedSchedule("aggregate_usage_metrics", timedelta(seconds=settings.usage_interval_seconds)),
        # Where nothing of its own tier keeps it from being run.
        ShippedSchedule(
            "raise_starving_runs", timedelta(seconds=settings.starvation_interval_seconds), tier=Tier.CRITICAL
        ),
    )


def declare(store: EventStore, wanted: Iterable[ShippedSchedule], *, at: datetime) -> list[Schedule]:
    """Bring the log in line with ``wanted``: declare what is absent, change what has another interval.

    Args:
        store: the event store.
        wanted: what there has to be.
        at: when this is asked for, UTC.

    Returns:
        the schedules as they now are, in the order of ``wanted``.
    """
    return [_declare(store, schedule, at=at) for schedule in wanted]


def _declare(store: EventStore, wanted: ShippedSchedule, *, at: datetime) -> Schedule:
    while True:
        schedule = _brought_in_line(load(store, wanted.name), wanted, at=at)
        changes = [event for event in schedule.collect_events() if isinstance(event, Event)]
        if not changes:
            return schedule
        try:
            store.append(Log.LICENSING, caused(changes, Cause(id=uuid4(), at=at, actor=ACTOR)))
        except LostRaceError:
            log.debug("another scheduler declared it meanwhile; looking again", schedule=wanted.name)
        else:
            log.info("schedule declared", schedule=wanted.name, every_seconds=schedule.every_seconds)
            return schedule


def load(store: EventStore, name: str) -> Schedule | None:
    """The schedule called ``name``, or None where none has been declared."""
    stream = schedule_stream(name)
    schedule = replay(store.load(Log.LICENSING, [stream]).get(stream, []))
    return schedule if isinstance(schedule, Schedule) else None


def _brought_in_line(known: Schedule | None, wanted: ShippedSchedule, *, at: datetime) -> Schedule:
    if known is None:
        return Schedule.declare(wanted.name, task=wanted.name, every=wanted.every, tier=wanted.tier.value, at=at)
    if known.every_seconds != wanted.every.total_seconds():
        known.change_interval(every=wanted.every, at=at)
    return known
