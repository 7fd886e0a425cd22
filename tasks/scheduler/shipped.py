"""The schedules that Ledgerq ships, and their declaration in the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec
import structlog

from domain.aggregate import Event
from domain.cause import Cause
from domain.schedule import Schedule, ScheduleState, schedule_stream
from domain.schedule_terms import Terms
from domain.tier import Tier
from domain.timetable import Interval
from infra.event_store import EventStore, Log, LostRaceError, Recorded, caused
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
        ShippedSchedule("check_platform_health", timedelta(seconds=settings.health_interval_seconds)),
        # Where nothing of its own tier keeps it from being run.
        ShippedSchedule(
            "raise_starving_runs", timedelta(seconds=settings.starvation_interval_seconds), tier=Tier.CRITICAL
        ),
    )


def declare(store: EventStore, wanted: Iterable[ShippedSchedule], *, at: datetime) -> None:
    """Bring the log in line with what the settings ask for, where that is news.

    Another timetable that people have given a shipped schedule stays until the settings ask for an interval that they
    have not asked for last. A pause and a removal stay whatever the settings ask for.

    Args:
        store: the event store.
        wanted: what there has to be.
        at: when this is asked for, UTC.
    """
    for schedule in wanted:
        _declare(store, schedule, at=at)


def _declare(store: EventStore, wanted: ShippedSchedule, *, at: datetime) -> None:
    while True:
        stream = schedule_stream(wanted.name)
        event = _news(store.load_recorded(Log.LICENSING, [stream]).get(stream, []), wanted, at=at)
        if event is None:
            return
        try:
            store.append(Log.LICENSING, caused([event], Cause(id=uuid4(), at=at, actor=ACTOR)))
        except LostRaceError:
            log.debug("another scheduler declared it meanwhile; looking again", schedule=wanted.name)
        else:
            log.info("schedule declared", schedule=wanted.name, every_seconds=wanted.every.total_seconds())
            return


def _news(story: Sequence[Recorded], wanted: ShippedSchedule, *, at: datetime) -> Event | None:
    schedule, asked = Schedule(wanted.name), None
    for recorded in story:
        schedule = schedule.after(recorded.event)
        if recorded.metadata.get("actor") == ACTOR and schedule.terms is not None:
            asked = schedule.terms.timetable
    timetable = Interval(wanted.every.total_seconds())
    if timetable == asked or schedule.state is ScheduleState.REMOVED:
        return None
    if schedule.terms is None:
        terms = Terms(task=wanted.name, timetable=timetable, tier=wanted.tier.value)
        return schedule.declare(terms, at=at, since=at - wanted.every)  # what is current now counts
    terms = msgspec.structs.replace(schedule.terms, timetable=timetable)
    return None if terms == schedule.terms else schedule.change(terms, at=at)
