"""One thing becomes of each slot, whoever sees it come and whatever people do about its schedule meanwhile."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from domain.cause import Cause
from domain.schedule_events import ScheduleFired, ScheduleSlotSkipped, ScheduleSlotsMissed
from domain.schedule_terms import CatchUp, Overlap, Terms
from domain.task_run import SLOT_END, TaskRequested, TaskSucceeded
from domain.timetable import Cron, Interval, Once
from infra.event_store import EventStore, Log, caused
from tasks.dispatch.policies import PolicyFollower
from tasks.scheduler.firing import MOST_SLOTS, Firing
from tests.tasks.scheduler.desk import Desk

NOW = datetime(2026, 6, 1, 12, 0, 3, tzinfo=UTC)
SWEEP = "sweep"
EVERY_FIVE = Terms(task="cleanup_zombie_sessions", timetable=Interval(5.0))
EVERY_FIVE_ALL = msgspec.structs.replace(EVERY_FIVE, catch_up=CatchUp.ALL)
EVERY_MINUTE = Terms(task="aggregate_usage_metrics", timetable=Cron("* * * * *", "Europe/Berlin"))


def second(count: float) -> datetime:
    return NOW.replace(second=0) + timedelta(seconds=count)


@pytest.fixture
def desk(store: EventStore) -> Desk:
    return Desk(store)


def accept_what_was_fired(store: EventStore) -> list[TaskRequested]:
    """Dispatch's part: every fired slot becomes a run."""
    policies = PolicyFollower(store, clock=lambda: NOW, page_events=100)
    policies.take_over()
    while policies.step():
        pass
    runs = [recorded.event for recorded in store.read(Log.TASKS, after=0, limit=1000).events]
    return [event for event in runs if isinstance(event, TaskRequested)]


def end(store: EventStore, run: TaskRequested) -> None:
    ended = TaskSucceeded(
        originator_id=run.originator_id,
        originator_version=SLOT_END,
        timestamp=NOW,
        task=run.task,
        attempt=1,
        queue="tasks.normal",
        worker="w",
        result=None,
        runtime_seconds=0.1,
    )
    store.append(Log.TASKS, caused([ended], Cause(id=uuid4(), at=NOW, actor="worker")))


def test_a_slot_is_fired_when_it_comes_and_not_again_within_it(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE, at=NOW)
    desk.add("usage", EVERY_MINUTE, at=NOW)
    firing = Firing(store)
    assert [firing.step(second(at)) for at in (3, 4.9, 5, 9.9, 10, 60)] == [0, 0, 1, 0, 1, 2]
    assert desk.fired(SWEEP) == [second(5), second(10), second(60)]
    assert desk.fired("usage") == [second(60)]
    assert firing.next_due() == second(65)


def test_another_leader_goes_on_where_the_last_one_stopped(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE_ALL, at=NOW)
    assert Firing(store).step(second(11)) == 2
    assert Firing(store).step(second(14)) == 0
    assert Firing(store).step(second(26)) == 3
    assert desk.fired(SWEEP) == [second(at) for at in (5, 10, 15, 20, 25)]


@pytest.mark.parametrize("catch_up", [CatchUp.LAST, CatchUp.NONE])
def test_a_leader_that_was_frozen_calls_no_slot_missed_that_another_fired_meanwhile(
    store: EventStore, desk: Desk, catch_up: CatchUp
) -> None:
    desk.add(SWEEP, msgspec.structs.replace(EVERY_FIVE, catch_up=catch_up), at=NOW)
    frozen = Firing(store)
    assert frozen.step(second(5)) == 1
    successor = Firing(store)
    assert [successor.step(second(at)) for at in range(10, 61, 5)] == [1] * 11
    assert frozen.step(second(61)) == 0
    assert frozen.next_due() == second(65)
    assert [type(event) for event in desk.settled(SWEEP)] == [ScheduleFired] * 12


def test_a_fact_that_was_stored_late_leads_no_leader_back(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE, at=NOW)
    assert Firing(store).step(second(26)) == 1  # of the slot at 25; those from 5 to 20 were missed
    desk.do(SWEEP, lambda schedule: schedule.fire(second(10), terms=EVERY_FIVE, at=second(11)), at=second(11))
    assert Firing(store).step(second(27)) == 0
    assert len(desk.settled(SWEEP)) == 3


def test_many_leaders_at_once_fire_each_slot_once(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE_ALL, at=NOW)
    stored: list[int] = []
    start = threading.Barrier(8)

    def fire() -> None:
        firing = Firing(store)
        start.wait()
        stored.extend(firing.step(second(5 * slot)) for slot in range(1, 11))

    threads = [threading.Thread(target=fire) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.fired(SWEEP) == [second(5 * slot) for slot in range(1, 11)]
    assert sum(stored) == 10


@pytest.mark.parametrize(
    ("catch_up", "fired", "missed"),
    [
        (CatchUp.NONE, range(330, 361, 5), (second(5), second(325), 65)),
        (CatchUp.LAST, [360], (second(5), second(355), 71)),
        (CatchUp.ALL, range(5, 361, 5), None),
    ],
)
def test_after_an_outage_what_was_missed_is_as_the_schedule_declares(
    store: EventStore,
    desk: Desk,
    catch_up: CatchUp,
    fired: range | list[int],
    missed: tuple[datetime, datetime, int] | None,
) -> None:
    desk.add(SWEEP, msgspec.structs.replace(EVERY_FIVE, catch_up=catch_up), at=NOW)
    with capture_logs() as lines:
        assert Firing(store).step(second(360)) == len(fired)
    assert desk.fired(SWEEP) == [second(at) for at in fired]
    told = [event for event in desk.settled(SWEEP) if isinstance(event, ScheduleSlotsMissed)]
    assert [(event.first_slot_at, event.last_slot_at, event.slots) for event in told] == ([missed] if missed else [])
    assert sum(line["event"] == "slots were missed" for line in lines) == (1 if missed else 0)
    assert Firing(store).step(second(361)) == 0


def test_a_long_outage_is_caught_up_with_a_stretch_at_a_time(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE_ALL, at=NOW)
    firing = Firing(store)
    now = second(5 * (MOST_SLOTS + 20))
    assert [firing.step(now) for _ in range(3)] == [MOST_SLOTS, 20, 0]


def test_a_clock_that_was_set_back_fires_no_old_slot(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE_ALL, at=NOW)
    firing = Firing(store)
    assert firing.step(second(60)) == 12
    assert firing.step(second(5)) == 0
    assert Firing(store).step(second(5)) == 0


def test_what_people_do_counts_for_a_leader_that_runs(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE_ALL, at=NOW)
    firing = Firing(store)
    assert firing.step(second(6)) == 1
    desk.change(SWEEP, msgspec.structs.replace(EVERY_FIVE_ALL, timetable=Interval(7.0, NOW)), at=second(11))
    assert firing.step(second(18)) == 2  # the slot of before the change that nobody had fired, and the next one
    desk.do(SWEEP, lambda schedule: schedule.pause(at=second(19)), at=second(19))
    assert firing.step(second(40)) == 0
    desk.do(SWEEP, lambda schedule: schedule.resume(at=second(41)), at=second(41))
    assert firing.step(second(46)) == 1
    desk.do(SWEEP, lambda schedule: schedule.remove(at=second(47)), at=second(47))
    assert firing.step(second(90)) == 0
    desk.add(SWEEP, EVERY_FIVE_ALL, at=second(91))
    assert firing.step(second(95)) == 1
    assert desk.fired(SWEEP) == [second(at) for at in (5, 10, 17, 45, 95)]


def test_a_single_moment_far_away_is_fired_once_and_then_forgotten(store: EventStore, desk: Desk) -> None:
    moment = NOW.replace(year=2061)
    desk.add("once", Terms(task="t", timetable=Once(moment)), at=NOW)
    firing = Firing(store)
    assert firing.step(moment - timedelta(seconds=1)) == 0
    assert firing.next_due() == moment
    assert firing.step(moment + timedelta(days=3)) == 1
    assert firing.next_due() is None
    assert Firing(store).step(moment + timedelta(days=4)) == 0
    desk.change("once", Terms(task="t", timetable=Interval(60.0)), at=moment + timedelta(days=5))
    assert firing.step(moment + timedelta(days=5, seconds=60)) == 1


def test_a_schedule_that_this_machine_cannot_follow_keeps_no_other_from_being_fired_and_can_be_changed_back(
    store: EventStore, desk: Desk
) -> None:
    desk.add(SWEEP, EVERY_FIVE, at=NOW)
    desk.add("moved", EVERY_FIVE_ALL, at=NOW)
    abroad = msgspec.structs.replace(EVERY_FIVE_ALL, timetable=Cron("* * * * *", "Europe/Atlantis"))
    home = msgspec.structs.replace(EVERY_FIVE_ALL, tier="high")
    change = desk.schedule("moved").change(home, at=second(7))
    unknown = msgspec.structs.replace(change, terms=abroad)  # on another machine there is such a zone
    store.append(Log.LICENSING, caused([unknown], Cause(id=uuid4(), at=NOW, actor="ada")))
    firing = Firing(store)
    with capture_logs() as lines:
        assert [firing.step(second(at)) for at in (8, 10, 11)] == [2, 1, 0]
    assert [line["schedule"] for line in lines if line["log_level"] == "error"] == ["moved"]
    desk.change("moved", home, at=second(12))
    firing.step(second(16))
    assert desk.fired("moved") == [second(5), second(15)]


def test_a_fired_slot_becomes_one_run_of_its_task(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE, at=NOW)
    Firing(store).step(second(5))
    (run,) = accept_what_was_fired(store)
    assert (run.task, run.tier) == ("cleanup_zombie_sessions", "normal")
    (recorded,) = store.read(Log.TASKS, after=0, limit=10).events
    assert recorded.metadata["actor"] == "policy:run_what_is_scheduled"


def test_where_overlapping_is_skipped_a_slot_passes_while_the_run_before_it_is_open(
    store: EventStore, desk: Desk
) -> None:
    desk.add(SWEEP, msgspec.structs.replace(EVERY_FIVE_ALL, overlap=Overlap.SKIP), at=NOW)
    assert Firing(store).step(second(10)) == 1  # of two slots that have come the second meets the first one's run
    (run,) = accept_what_was_fired(store)
    firing = Firing(store)
    assert firing.step(second(15)) == 0
    end(store, run)
    assert firing.step(second(20)) == 1
    skipped = [event for event in desk.settled(SWEEP) if isinstance(event, ScheduleSlotSkipped)]
    assert [event.slot_at for event in skipped] == [second(10), second(15)]
    assert {f"task_run-{event.open_run_id}" for event in skipped} == {run.originator_id}
    assert desk.fired(SWEEP) == [second(5), second(20)]


@pytest.mark.parametrize(("catch_up", "fired"), [(CatchUp.ALL, [5, 10, 15]), (CatchUp.LAST, [5, 15])])
def test_where_overlapping_is_queued_a_slot_waits_for_the_end_of_the_run_before_it(
    store: EventStore, desk: Desk, catch_up: CatchUp, fired: list[int]
) -> None:
    desk.add(SWEEP, msgspec.structs.replace(EVERY_FIVE, catch_up=catch_up, overlap=Overlap.QUEUE), at=NOW)
    firing = Firing(store)
    assert [firing.step(second(at)) for at in (5, 10, 15)] == [1, 0, 0]
    ended: set[str] = set()
    for at in (16, 17, 18):
        for run in accept_what_was_fired(store):
            if run.originator_id not in ended:
                ended.add(run.originator_id)
                end(store, run)
        firing.step(second(at))
    assert desk.fired(SWEEP) == [second(at) for at in fired]


def test_a_run_by_hand_counts_as_the_run_before(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, msgspec.structs.replace(EVERY_FIVE, overlap=Overlap.SKIP), at=NOW)
    desk.do(SWEEP, lambda schedule: schedule.fire_by_hand(uuid4(), at=NOW), at=NOW)
    assert Firing(store).step(second(5)) == 0
    assert [type(event) for event in desk.settled(SWEEP)] == [ScheduleSlotSkipped]
    assert len(accept_what_was_fired(store)) == 1


def test_how_late_a_slot_was_fired_is_in_the_log(store: EventStore, desk: Desk) -> None:
    desk.add(SWEEP, EVERY_FIVE, at=NOW)
    Firing(store).step(second(5.25))
    (event,) = desk.settled(SWEEP)
    assert isinstance(event, ScheduleFired)
    assert event.timestamp - event.slot_at == timedelta(seconds=0.25)
