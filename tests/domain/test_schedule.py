from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.policies import decide
from domain.schedule import Schedule, ScheduleUnchanged
from domain.tier import Tier

NOW = datetime(2026, 6, 1, 12, 0, 7, tzinfo=UTC)


def a_schedule() -> Schedule:
    return Schedule.declare("sweep", task="cleanup_zombie_sessions", every=timedelta(seconds=5), at=NOW)


def test_slots_are_counted_from_the_epoch_so_that_every_scheduler_sees_the_same() -> None:
    schedule = a_schedule()
    assert schedule.slot_at(NOW) == NOW.replace(second=5)
    assert schedule.slot_at(NOW + timedelta(seconds=2.9)) == NOW.replace(second=5)
    assert schedule.slot_at(NOW + timedelta(seconds=3)) == NOW.replace(second=10)


def test_firing_a_slot_twice_gives_the_same_stream() -> None:
    schedule = a_schedule()
    slot = schedule.slot_at(NOW)
    first, second = schedule.fire(slot, at=NOW), schedule.fire(slot, at=NOW + timedelta(seconds=1))
    assert (first.originator_id, first.originator_version) == (second.originator_id, second.originator_version)


def test_a_fired_slot_asks_for_its_task() -> None:
    schedule = a_schedule()
    (command,) = decide(schedule.fire(schedule.slot_at(NOW), at=NOW))
    assert (command.task, command.tier) == ("cleanup_zombie_sessions", Tier.NORMAL)


def test_a_change_to_the_same_interval_is_refused() -> None:
    schedule = a_schedule()
    schedule.change_interval(every=timedelta(seconds=9), at=NOW)
    with pytest.raises(ScheduleUnchanged):
        schedule.change_interval(every=timedelta(seconds=9), at=NOW)
