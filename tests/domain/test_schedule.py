from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from domain.aggregate import Event
from domain.due import Slot, due
from domain.policies import decide
from domain.schedule import (
    Schedule,
    ScheduleAlreadyPaused,
    ScheduleExists,
    ScheduleNotPaused,
    ScheduleState,
    ScheduleUnchanged,
    ScheduleUnknown,
)
from domain.schedule_events import ScheduleDeclared, ScheduleIntervalChanged
from domain.schedule_terms import CatchUp, Terms
from domain.tier import Tier
from domain.timetable import Cron, Interval, Once, TimetableInvalid

NOW = datetime(2026, 6, 1, 12, 0, 7, tzinfo=UTC)
EVERY_FIVE = Terms(task="cleanup_zombie_sessions", timetable=Interval(5.0), catch_up=CatchUp.ALL)
HOURLY = msgspec.structs.replace(EVERY_FIVE, timetable=Cron("0 * * * *"))


def seconds(count: float) -> datetime:
    return NOW.replace(second=0) + timedelta(seconds=count)


def told(*events: Event) -> Schedule:
    schedule = Schedule("sweep")
    for event in events:
        schedule = schedule.after(event)
    return schedule


def a_schedule(terms: Terms = EVERY_FIVE) -> Schedule:
    return told(Schedule("sweep").declare(terms, at=NOW))


def slots(schedule: Schedule, upto: datetime, seen: datetime | None = None) -> list[datetime]:
    return [slot.at for slot in due(schedule, seen=seen, now=upto, most=100).slots]


def test_slots_count_from_the_declaration_on() -> None:
    assert slots(a_schedule(), seconds(21)) == [seconds(10), seconds(15), seconds(20)]


def test_a_schedule_of_before_there_were_terms_counts_the_slot_that_was_current() -> None:
    terms = msgspec.structs.replace(EVERY_FIVE, catch_up=CatchUp.LAST)
    event = Schedule("sweep").declare(terms, at=NOW)
    assert isinstance(event, ScheduleDeclared)
    assert slots(told(msgspec.structs.replace(event, since=None)), seconds(8)) == [seconds(5)]


def test_an_interval_changed_of_before_there_were_terms_still_counts() -> None:
    changed = ScheduleIntervalChanged(
        originator_id="schedule-sweep",
        originator_version=2,
        timestamp=seconds(12),
        every_seconds=3.0,
        previous_every_seconds=5.0,
    )
    assert slots(a_schedule().after(changed), seconds(20)) == [seconds(10), seconds(15), seconds(18)]


def test_a_change_loses_no_slot_that_had_come_and_fires_it_as_it_was() -> None:
    schedule = a_schedule()
    other = Terms(task="another", timetable=Cron("* * * * *"), catch_up=CatchUp.ALL)
    changed = schedule.after(schedule.change(other, at=seconds(12)))
    assert due(changed, seen=None, now=seconds(61), most=9).slots == [
        Slot(seconds(10), EVERY_FIVE),
        Slot(seconds(60), other),
    ]


def test_a_slot_that_was_seen_to_is_not_due_again_after_a_change() -> None:
    schedule = a_schedule()
    changed = schedule.after(schedule.change(HOURLY, at=seconds(12)))
    assert slots(changed, seconds(59), seen=seconds(10)) == []
    assert changed.seen_to(seconds(12)).eras == changed.eras[1:]


def test_of_many_changes_each_rules_its_own_time() -> None:
    schedule = a_schedule()
    for second in (10, 20, 30):
        terms = msgspec.structs.replace(EVERY_FIVE, timetable=Interval(float(second // 10)))
        schedule = schedule.after(schedule.change(terms, at=seconds(second)))
    expected = [10, *range(11, 21), *range(22, 31, 2), *range(33, 37, 3)]
    assert slots(schedule, seconds(37)) == [seconds(each) for each in expected]


def test_a_change_by_a_clock_that_is_behind_takes_nothing_back() -> None:
    schedule = a_schedule()
    schedule = schedule.after(schedule.change(HOURLY, at=seconds(31)))
    schedule = schedule.after(schedule.change(EVERY_FIVE, at=seconds(9)))
    assert slots(schedule, seconds(41)) == [seconds(each) for each in (10, 15, 20, 25, 30, 35, 40)]


def test_while_it_is_paused_nothing_comes_and_nothing_is_caught_up_with_afterwards() -> None:
    schedule = a_schedule()
    paused = schedule.after(schedule.pause(at=seconds(12)))
    assert slots(paused, seconds(60)) == []
    resumed = paused.after(paused.resume(at=seconds(31)))
    assert slots(resumed, seconds(41)) == [seconds(35), seconds(40)]


def test_a_paused_schedule_that_is_changed_stays_paused() -> None:
    schedule = a_schedule()
    paused = schedule.after(schedule.pause(at=seconds(12)))
    changed = paused.after(paused.change(HOURLY, at=seconds(13)))
    assert (changed.state, changed.terms, changed.eras) == (ScheduleState.PAUSED, HOURLY, ())


def test_what_was_removed_has_no_slots_until_it_is_declared_again() -> None:
    schedule = a_schedule()
    removed = schedule.after(schedule.remove(at=seconds(12)))
    assert slots(removed, seconds(60)) == []
    again = removed.after(removed.declare(EVERY_FIVE, at=seconds(31)))
    assert slots(again, seconds(36)) == [seconds(35)]


def test_what_cannot_be_is_refused_and_says_so() -> None:
    schedule, none = a_schedule(), Schedule("none")
    paused = schedule.after(schedule.pause(at=NOW))
    removed = schedule.after(schedule.remove(at=NOW))
    for refused, refusal in (
        (lambda: schedule.declare(HOURLY, at=NOW), ScheduleExists),
        (lambda: schedule.change(EVERY_FIVE, at=NOW), ScheduleUnchanged),
        (lambda: schedule.resume(at=NOW), ScheduleNotPaused),
        (lambda: paused.pause(at=NOW), ScheduleAlreadyPaused),
        (lambda: none.pause(at=NOW), ScheduleUnknown),
        (lambda: removed.change(HOURLY, at=NOW), ScheduleUnknown),
        (lambda: removed.fire_by_hand(uuid4(), at=NOW), ScheduleUnknown),
    ):
        with pytest.raises(refusal):
            refused()


@pytest.mark.parametrize(
    ("name", "terms", "says"),
    [
        ("a schedule", EVERY_FIVE, "letters, digits"),
        ("s", msgspec.structs.replace(EVERY_FIVE, timetable=Once(NOW)), "still to come"),
        ("s", msgspec.structs.replace(EVERY_FIVE, timetable=Interval(0)), "1 s to 366 days"),
        ("s", msgspec.structs.replace(EVERY_FIVE, timetable=Cron("0 25 * * *")), "hour 0-23"),
        ("s", msgspec.structs.replace(EVERY_FIVE, catch_up_seconds=0), "more than 0 s"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_what_is_allowed(name: str, terms: Terms, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Schedule(name).declare(terms, at=NOW)


def test_a_bad_change_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(TimetableInvalid, match="still to come"):
        a_schedule().change(msgspec.structs.replace(EVERY_FIVE, timetable=Once(NOW)), at=NOW)


def test_firing_a_slot_twice_or_skipping_it_gives_the_same_stream_and_place() -> None:
    schedule, slot = a_schedule(), seconds(10)
    facts = [
        schedule.fire(slot, terms=EVERY_FIVE, at=NOW),
        schedule.fire(slot, terms=EVERY_FIVE, at=NOW + timedelta(seconds=1)),
        schedule.skip(slot, terms=EVERY_FIVE, open_run_id="r", at=NOW),
    ]
    assert {(fact.originator_id, fact.originator_version) for fact in facts} == {
        ("schedule_slot-sweep@2026-06-01T12:00:10+00:00", 1)
    }


def test_what_is_fired_by_hand_takes_no_slot_and_may_be_fired_again() -> None:
    schedule = a_schedule()
    keys = [UUID(int=1), UUID(int=2)]
    streams = {schedule.fire_by_hand(key, at=seconds(10)).originator_id for key in keys}
    assert len(streams) == 2
    assert schedule.fire(seconds(10), terms=EVERY_FIVE, at=NOW).originator_id not in streams


def test_a_fired_slot_asks_for_its_task_whether_its_time_came_or_somebody_wanted_it() -> None:
    schedule = a_schedule()
    for event in (schedule.fire(seconds(10), terms=EVERY_FIVE, at=NOW), schedule.fire_by_hand(uuid4(), at=NOW)):
        (command,) = decide(event)
        assert (command.task, command.tier) == ("cleanup_zombie_sessions", Tier.NORMAL)
