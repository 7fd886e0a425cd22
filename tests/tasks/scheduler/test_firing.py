"""A slot fires once, whoever sees it come."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs

from domain.schedule import Schedule, ScheduleFired
from domain.task_run import TaskRequested
from infra.event_store import EventStore, Log
from tasks.dispatch.policies import PolicyFollower
from tasks.scheduler.firing import Firing
from tasks.scheduler.shipped import ShippedSchedule, declare

NOW = datetime(2026, 6, 1, 12, 0, 3, tzinfo=UTC)
SCHEDULES = (
    ShippedSchedule("cleanup_zombie_sessions", timedelta(seconds=5)),
    ShippedSchedule("aggregate_usage_metrics", timedelta(seconds=60)),
)


def declared(store: EventStore) -> list[Schedule]:
    return declare(store, SCHEDULES, at=NOW)


def fired(store: EventStore) -> list[tuple[str, datetime]]:
    events = [recorded.event for recorded in store.read(Log.LICENSING, after=0, limit=1000).events]
    return [(event.schedule, event.slot_at) for event in events if isinstance(event, ScheduleFired)]


def test_at_the_start_the_current_slots_are_fired_if_nobody_has(store: EventStore) -> None:
    assert Firing(store, declared(store)).fire_due(NOW) == 2
    on_the_minute = NOW.replace(second=0)
    assert fired(store) == [("cleanup_zombie_sessions", on_the_minute), ("aggregate_usage_metrics", on_the_minute)]


def test_within_a_slot_nothing_is_fired_again(store: EventStore) -> None:
    firing = Firing(store, declared(store))
    firing.fire_due(NOW)
    assert firing.fire_due(NOW + timedelta(seconds=1.9)) == 0
    assert firing.next_due(NOW) == NOW.replace(second=5)
    assert firing.fire_due(NOW + timedelta(seconds=2)) == 1


def test_another_leader_finds_the_slot_fired(store: EventStore) -> None:
    schedules = declared(store)
    assert Firing(store, schedules).fire_due(NOW) == 2
    assert Firing(store, schedules).fire_due(NOW + timedelta(seconds=1)) == 0
    assert len(fired(store)) == 2


def test_many_leaders_at_once_fire_each_slot_once(store: EventStore) -> None:
    schedules = declared(store)
    stored: list[int] = []
    start = threading.Barrier(8)

    def fire() -> None:
        firing = Firing(store, schedules)
        start.wait()
        stored.extend(firing.fire_due(NOW + timedelta(seconds=5 * slot)) for slot in range(10))

    threads = [threading.Thread(target=fire) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slots = fired(store)
    assert len(slots) == len(set(slots)) == sum(stored) == 11


def test_after_an_outage_only_the_latest_missed_slot_is_fired_and_the_log_says_so(store: EventStore) -> None:
    firing = Firing(store, declared(store)[:1])
    firing.fire_due(NOW)
    with capture_logs() as lines:
        assert firing.fire_due(NOW + timedelta(seconds=60)) == 1
    assert [slot for _, slot in fired(store)] == [NOW.replace(second=0), NOW.replace(minute=1, second=0)]
    assert [line["missed"] for line in lines if "missed" in line] == [11]


def test_a_clock_that_was_set_back_fires_no_old_slot(store: EventStore) -> None:
    firing = Firing(store, declared(store)[:1])
    firing.fire_due(NOW + timedelta(hours=1))
    assert firing.fire_due(NOW) == 0


def test_a_fired_slot_becomes_one_run_of_its_task(store: EventStore) -> None:
    Firing(store, declared(store)[:1]).fire_due(NOW)
    policies = PolicyFollower(store, clock=lambda: NOW, page_events=100)
    policies.take_over()
    while policies.step():
        pass
    (run,) = store.read(Log.TASKS, after=0, limit=10).events
    assert isinstance(run.event, TaskRequested)
    assert (run.event.task, run.event.tier) == ("cleanup_zombie_sessions", "normal")
    assert run.metadata["actor"] == "policy:run_what_is_scheduled"
