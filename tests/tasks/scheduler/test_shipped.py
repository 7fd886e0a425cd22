"""The shipped schedules stand in the log at the intervals the deployment has set, and as people have changed them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from domain.schedule import ScheduleState, schedule_stream
from domain.timetable import Cron, Interval
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tasks.scheduler.shipped import ShippedSchedule, declare, shipped
from tests.tasks.scheduler.desk import Desk

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SWEEP = ShippedSchedule("cleanup_zombie_sessions", timedelta(seconds=60))
FASTER = SWEEP._replace(every=timedelta(seconds=5))


def names(store: EventStore) -> list[str]:
    stream = schedule_stream(SWEEP.name)
    return [event.name for event in store.load(Log.LICENSING, [stream]).get(stream, [])]


def test_every_deployment_has_the_sweep_the_expiry_check_the_usage_aggregation_the_guard_and_the_health_check() -> None:
    settings = Settings(
        sweep_interval_seconds=7,
        expiry_interval_seconds=8,
        usage_interval_seconds=9,
        starvation_interval_seconds=10,
        health_interval_seconds=11,
    )
    assert {schedule.name: schedule.every.total_seconds() for schedule in shipped(settings)} == {
        "cleanup_zombie_sessions": 7,
        "check_license_expirations": 8,
        "aggregate_usage_metrics": 9,
        "raise_starving_runs": 10,
        "check_platform_health": 11,
    }


def test_a_schedule_is_declared_once_however_often_the_scheduler_starts(store: EventStore) -> None:
    declare(store, [SWEEP], at=NOW)
    declare(store, [SWEEP], at=NOW)
    assert names(store) == ["schedule.declared"]
    terms = Desk(store).schedule(SWEEP.name).terms
    assert terms is not None
    assert (terms.task, terms.timetable) == (SWEEP.name, Interval(60))


def test_another_interval_in_the_settings_changes_the_schedule(store: EventStore) -> None:
    declare(store, [SWEEP], at=NOW)
    declare(store, [FASTER], at=NOW)
    assert names(store) == ["schedule.declared", "schedule.changed"]
    terms = Desk(store).schedule(SWEEP.name).terms
    assert terms is not None
    assert terms.timetable == Interval(5)


def test_what_people_made_of_it_stays_until_the_settings_ask_for_something_new(store: EventStore) -> None:
    desk = Desk(store)
    declare(store, [SWEEP], at=NOW)
    terms = desk.schedule(SWEEP.name).terms
    assert terms is not None
    nightly = msgspec.structs.replace(terms, timetable=Cron("0 3 * * *"), kwargs={"limit": 5})
    desk.change(SWEEP.name, nightly, at=NOW)
    declare(store, [SWEEP], at=NOW)
    assert desk.schedule(SWEEP.name).terms == nightly
    declare(store, [FASTER], at=NOW)
    assert desk.schedule(SWEEP.name).terms == msgspec.structs.replace(nightly, timetable=Interval(5))


def test_one_that_was_paused_or_removed_stays_so(store: EventStore) -> None:
    desk = Desk(store)
    declare(store, [SWEEP], at=NOW)
    desk.do(SWEEP.name, lambda schedule: schedule.pause(at=NOW), at=NOW)
    declare(store, [FASTER], at=NOW)
    assert desk.schedule(SWEEP.name).state is ScheduleState.PAUSED
    desk.do(SWEEP.name, lambda schedule: schedule.remove(at=NOW), at=NOW)
    declare(store, [SWEEP], at=NOW)
    assert desk.schedule(SWEEP.name).state is ScheduleState.REMOVED


def test_the_declaration_says_who_is_answerable(store: EventStore) -> None:
    declare(store, [SWEEP], at=NOW)
    (recorded,) = store.read(Log.LICENSING, after=0, limit=10).events
    assert recorded.metadata["actor"] == "scheduler"
