"""Schedules: what comes next, and how late the last firings were."""

from __future__ import annotations

from typing import Any, Final

from domain.due import next_due
from domain.schedule import Schedule, ScheduleState, schedule_stream
from infra.event_store import EventStore
from infra.web.page import Drawn, Visit
from projections.web.pages import asked

MOST: Final = 200
PAGE_EVENTS: Final = 5_000
NEXT: Final = 3
_ROWS: Final = """
    select s.*, fired.slot_at as last_slot_at, fired.fired_at, fired.lateness_seconds, fired.run_id, fired.outcome
    from (select * from analytics.dim_schedules where state <> 'removed' order by schedule limit %(most)s) s
    left join lateral (
        select slot_at, fired_at, lateness_seconds, run_id, outcome
        from read_model.schedule_firings f
        where f.schedule = s.schedule
        order by slot_at desc nulls last
        limit 1) fired on true
    order by s.schedule
"""
_FIRINGS: Final = """
    select schedule, outcome, slot_at, fired_at, lateness_seconds, run_id, reason
    from read_model.schedule_firings
    order by recorded_at desc
    limit 20
"""


def show(visit: Visit) -> Drawn:
    """The page."""
    with visit.desk.reading() as connection:
        rows = asked.ask(connection, _ROWS, {"most": MOST})
        firings = asked.ask(connection, _FIRINGS, {})
    following = _following(visit.desk.store, [row["schedule"] for row in rows])
    values: dict[str, Any] = {"rows": rows, "firings": firings, "following": following, "most": MOST}
    return Drawn("schedules.html", values)


def _following(store: EventStore, names: list[str]) -> dict[str, list[Any]]:
    settled = store.settled_slots(names)
    return {
        name: _next(schedule, settled.get(name))
        for name, schedule in _known(store).items()
        if name in names and schedule.state is ScheduleState.ACTIVE
    }


def _next(schedule: Schedule, seen: Any) -> list[Any]:
    slots: list[Any] = []
    while len(slots) < NEXT and (slot := next_due(schedule, seen=seen)) is not None:
        slots.append(slot)
        seen = slot
    return slots


def _known(store: EventStore) -> dict[str, Schedule]:
    schedules: dict[str, Schedule] = {}
    position, is_all = 0, False
    while not is_all:
        told = store.schedule_events(after=position, limit=PAGE_EVENTS)
        for event in told.events:
            name = event.originator_id.removeprefix(schedule_stream(""))
            schedules[name] = (schedules.get(name) or Schedule(name)).after(event)
        position, is_all = told.position, told.is_all
    return schedules
