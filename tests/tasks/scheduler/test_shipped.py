"""The shipped schedules stand in the log at the intervals the deployment has set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.schedule import schedule_stream
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tasks.scheduler.shipped import ShippedSchedule, declare, shipped

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SWEEP = ShippedSchedule("cleanup_zombie_sessions", timedelta(seconds=60))


def names(store: EventStore) -> list[str]:
    stream = schedule_stream(SWEEP.name)
    return [event.name for event in store.load(Log.LICENSING, [stream]).get(stream, [])]


def test_every_deployment_has_the_sweep_the_expiry_check_the_usage_aggregation_and_the_guard() -> None:
    settings = Settings(
        sweep_interval_seconds=7, expiry_interval_seconds=8, usage_interval_seconds=9, starvation_interval_seconds=10
    )
    assert {schedule.name: schedule.every.total_seconds() for schedule in shipped(settings)} == {
        "cleanup_zombie_sessions": 7,
        "check_license_expirations": 8,
        "aggregate_usage_metrics": 9,
        "raise_starving_runs": 10,
    }


def test_a_schedule_is_declared_once_however_often_the_scheduler_starts(store: EventStore) -> None:
    (first,) = declare(store, [SWEEP], at=NOW)
    (second,) = declare(store, [SWEEP], at=NOW)
    assert names(store) == ["schedule.declared"]
    assert (first.task, first.every_seconds) == (second.task, second.every_seconds) == (SWEEP.name, 60)


def test_another_interval_in_the_settings_changes_the_schedule(store: EventStore) -> None:
    declare(store, [SWEEP], at=NOW)
    (changed,) = declare(store, [SWEEP._replace(every=timedelta(seconds=5))], at=NOW)
    assert names(store) == ["schedule.declared", "schedule.interval_changed"]
    assert changed.every_seconds == 5


def test_the_declaration_says_who_is_answerable(store: EventStore) -> None:
    declare(store, [SWEEP], at=NOW)
    (recorded,) = store.read(Log.LICENSING, after=0, limit=10).events
    assert recorded.metadata["actor"] == "scheduler"
