"""What people and programs are told of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from domain.schedule import Schedule, scheduled_run_id
from domain.schedule_terms import Terms
from infra.event_store import Recorded
from infra.event_store.schedules import FiredSlot
from tasks.schedules.reading import next_slots

NEXT_SLOTS: Final = 5


def summary(schedule: Schedule, *, seen: datetime | None) -> dict[str, Any]:
    """A schedule in short: what ``schedule list --json`` gives."""
    terms = schedule.terms
    following = next_slots(schedule, seen=seen, most=1)
    return {
        "schedule": schedule.name,
        "state": _state(schedule, following),
        "task": terms.task if terms else None,
        "timetable": str(terms.timetable) if terms else None,
        "next_slot_at": following[0] if following else None,
        "last_slot_at": seen,
    }


def line(told: dict[str, Any]) -> str:
    """The same for people."""
    following = told["next_slot_at"]
    comes = following.isoformat(sep=" ", timespec="seconds") if following else "-"
    return f"{told['schedule']:<28}  {told['state']:<7}  {comes:<25}  {told['timetable']:<34}  {told['task']}"


def values(
    schedule: Schedule, story: Sequence[Recorded], fired: Sequence[FiredSlot], *, seen: datetime | None
) -> dict[str, Any]:
    """All that is known: what ``schedule show --json`` gives."""
    told = summary(schedule, seen=seen)
    return {
        **told,
        "terms": schedule.terms,
        "next_slots": next_slots(schedule, seen=seen, most=NEXT_SLOTS),
        "fired": [
            {
                "slot_at": slot.slot_at,
                "fired_at": slot.at,
                "lateness_seconds": (slot.at - slot.slot_at).total_seconds(),
                "run_id": scheduled_run_id(slot.event_id, slot.at),
            }
            for slot in fired
        ],
        "history": [
            {
                "name": recorded.event.name,
                "at": recorded.event.timestamp,
                "actor": recorded.metadata.get("actor"),
                "reason": recorded.event.data().get("reason"),
            }
            for recorded in story
        ],
    }


def tell(told: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"{told['schedule']}: {told['state']}", *_terms(told["terms"])]
    lines += ["next:"] + [f"  {slot.isoformat(sep=' ')}" for slot in told["next_slots"]]
    lines += ["fired last:"]
    lines += [
        f"  {each['slot_at'].isoformat(sep=' ')}  {each['lateness_seconds']:+.3f} s  run {each['run_id']}"
        for each in told["fired"]
    ]
    lines += ["history:"]
    for each in told["history"]:
        why = f": {each['reason']}" if each["reason"] else ""
        lines.append(f"  {each['at'].isoformat(sep=' ', timespec='seconds')}  {each['name']} by {each['actor']}{why}")
    return "\n".join(lines)


def _terms(terms: Terms | None) -> list[str]:
    if terms is None:
        return []
    window = f" for {terms.catch_up_seconds:g} s" if terms.catch_up == "all" else ""
    return [
        f"  {terms.timetable}",
        f"  task {terms.task} {terms.kwargs} in tier {terms.tier}",
        f"  catch-up {terms.catch_up}{window}, overlap {terms.overlap}",
    ]


def _state(schedule: Schedule, following: Sequence[datetime]) -> str:
    return "over" if schedule.state == "active" and not following else schedule.state.value
