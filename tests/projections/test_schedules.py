"""What analysts see of schedules and of their slots."""

from __future__ import annotations

import msgspec

from domain.schedule import Schedule, scheduled_run_id
from domain.schedule_events import ScheduleDeclared, ScheduleIntervalChanged
from domain.schedule_terms import CatchUp, Overlap, Terms
from domain.timetable import Cron, Interval, Once
from infra.event_store import Log
from tests.projections.histories import at, minted
from tests.projections.world import World

NIGHTLY = Terms(
    task="bill", timetable=Cron("30 2 * * *", "Europe/Berlin"), catch_up=CatchUp.ALL, overlap=Overlap.SKIP, tier="high"
)


def declared(terms: Terms = NIGHTLY) -> tuple[Schedule, ScheduleDeclared]:
    event = Schedule("nightly").declare(terms, at=at(0), reason="wanted")
    assert isinstance(event, ScheduleDeclared)
    return Schedule("nightly").after(event), event


def test_a_schedule_is_told_with_its_terms_and_with_what_was_done_last(world: World) -> None:
    schedule, begun = declared()
    world.record(Log.LICENSING, begun, schedule.pause(at=at(5), reason="stocktaking"))
    world.catch_up("schedules")
    row = world.row("select * from analytics.dim_schedules")
    assert {name: value for name, value in row.items() if value is not None and name != "changed_by"} == {
        "schedule": "nightly",
        "state": "paused",
        "is_active": False,
        "task": "bill",
        "tier": "high",
        "kind": "cron",
        "cron": "30 2 * * *",
        "zone": "Europe/Berlin",
        "catch_up": "all",
        "catch_up_seconds": 86_400.0,
        "overlap": "skip",
        "declared_at": at(0),
        "changed_at": at(5),
        "reason": "stocktaking",
    }


def test_another_timetable_leaves_nothing_of_the_one_before(world: World) -> None:
    schedule, begun = declared()
    changed = schedule.change(msgspec.structs.replace(NIGHTLY, timetable=Once(at(9000))), at=at(5))
    world.record(Log.LICENSING, begun, changed)
    world.catch_up("schedules")
    row = world.row("select kind, cron, zone, every_seconds, once_at from analytics.dim_schedules")
    assert row == {"kind": "once", "cron": None, "zone": None, "every_seconds": None, "once_at": at(9000)}


def test_an_interval_changed_of_before_there_were_terms_is_told(world: World) -> None:
    _, begun = declared(Terms(task="sweep", timetable=Interval(60.0)))
    changed = ScheduleIntervalChanged(
        originator_id=begun.originator_id,
        originator_version=2,
        timestamp=at(9),
        every_seconds=5.0,
        previous_every_seconds=60.0,
    )
    world.record(Log.LICENSING, begun, changed)
    world.catch_up("schedules")
    assert world.row("select kind, every_seconds, state from analytics.dim_schedules") == {
        "kind": "interval",
        "every_seconds": 5.0,
        "state": "active",
    }


def test_what_became_of_slots_is_told_with_lateness_and_run(world: World) -> None:
    schedule, _ = declared()
    fired = schedule.fire(at(60), terms=NIGHTLY, at=at(60.25))
    world.record(
        Log.LICENSING,
        fired,
        schedule.skip(at(120), terms=NIGHTLY, open_run_id="r1", at=at(120)),
        schedule.miss(at(180), at(300), slots=3, at=at(400)),
        schedule.fire_by_hand(minted("hand"), at=at(500), reason="the mail was lost"),
    )
    world.catch_up("schedule_firings")
    rows = world.rows(
        "select outcome, slot_at, last_slot_at, slot_count, lateness_seconds, open_run_id, reason"
        " from analytics.fct_schedule_firings order by slot_at"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("fired", at(60), at(60), 1, 0.25, None, None),
        ("skipped", at(120), at(120), 1, None, "r1", None),
        ("missed", at(180), at(300), 3, None, None, "catch-up all"),
        ("fired_by_hand", at(500), at(500), 1, None, None, "the mail was lost"),
    ]
    run_id = scheduled_run_id(minted(fired.originator_id, 1), fired.timestamp)
    assert world.row("select run_id from analytics.fct_schedule_firings where outcome = 'fired'") == {
        "run_id": str(run_id)
    }
