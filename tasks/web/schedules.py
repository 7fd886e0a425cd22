"""Schedules over HTTP: list, show, put, pause, resume, run, remove."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import msgspec

from domain.aggregate import Event
from domain.refusal import Refusal
from domain.schedule import Schedule, ScheduleState, ScheduleUnknown, scheduled_run_id
from domain.schedule_terms import Terms
from infra.event_store import Log, LostRaceError
from infra.web.operation import Call, Operation
from infra.web.problem import Problem
from infra.web.role import Role
from tasks.schedules.asking import terms_flaw
from tasks.schedules.doing import Done, Verb, do
from tasks.schedules.reading import every_schedule, folded, story
from tasks.schedules.showing import summary, values
from tasks.web.recorded import Because, Reason, Recorded, now

_GONE: Final = frozenset({ScheduleState.ABSENT, ScheduleState.REMOVED})


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms that a schedule is to live by, and why."""

    terms: Terms
    reason: Reason | None = None


def list_(call: Call) -> list[dict[str, Any]]:
    """Those that are there, by name."""
    store = call.desk.store
    known = [each for each in every_schedule(store) if each.state not in _GONE]
    settled = store.settled_slots([each.name for each in known])
    return [summary(each, seen=settled.get(each.name)) for each in known]


def show(call: Call) -> dict[str, Any]:
    """One: its terms, what was done about it, its last firings and its next slots."""
    name, store = call.path["name"], call.desk.store
    told = story(store, name)
    if not told:
        raise Problem(HTTPStatus.NOT_FOUND, str(ScheduleUnknown(Schedule(name).stream)))
    seen, fired = store.settled_slots([name]).get(name), store.fired_slots(name, limit=5)
    found: dict[str, Any] = call.desk.redact.value(values(folded(name, told), told, fired, seen=seen))
    return found


def put(call: Call) -> Recorded:
    """Let there be a schedule that lives by these terms, whether there is one or not."""
    terms, reason = call.body.terms, call.body.reason
    if flaw := terms_flaw(terms):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"terms: {flaw}")

    def verb(known: Schedule, at: datetime) -> Event:
        if known.state in _GONE:
            return known.declare(terms, at=at, reason=reason)
        return known.change(terms, at=at, reason=reason)

    return _recorded(_done(call, verb))


def pause(call: Call) -> Recorded:
    """Fire nothing of it from now on."""
    return _recorded(_done(call, lambda known, at: known.pause(at=at, reason=call.body.reason)))


def resume(call: Call) -> Recorded:
    """Fire the slots again that come from now on."""
    return _recorded(_done(call, lambda known, at: known.resume(at=at, reason=call.body.reason)))


def remove(call: Call) -> Recorded:
    """Let there be no such schedule any more."""
    return _recorded(_done(call, lambda known, at: known.remove(at=at, reason=call.body.reason)))


def run(call: Call) -> Recorded:
    """Ask for its task now, paused or not; no slot is used up."""
    done = _done(call, lambda known, at: known.fire_by_hand(uuid4(), at=at, reason=call.body.reason))
    return _recorded(done, run_id=str(scheduled_run_id(done.new.event_id, done.new.event.timestamp)))


def _done(call: Call, verb: Verb) -> Done:
    try:
        return do(call.desk.store, call.path["name"], verb, actor=call.bearer.actor, at=now())
    except ScheduleUnknown as refusal:
        raise Problem(HTTPStatus.NOT_FOUND, str(refusal), code=refusal.code) from refusal
    except Refusal:
        raise
    except LostRaceError as error:
        said = "somebody did something about it at the same moment; look, and try again"
        raise Problem(HTTPStatus.CONFLICT, said) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"terms: {error}") from error


def _recorded(done: Done, *, run_id: str | None = None) -> Recorded:
    return Recorded(log=Log.LICENSING.value, position=done.position, run_id=run_id)


def _verb(path: str, name: str, summary_: str, handle: Callable[[Call], Recorded]) -> Operation:
    return Operation(
        method="POST",
        path=f"/schedules/{{name}}/{path}",
        name=name,
        summary=summary_,
        role=Role.OPERATOR,
        handle=handle,
        body=Because,
        answer=Recorded,
        problems=(HTTPStatus.CONFLICT,),
    )


SCHEDULES: Final = (
    Operation(
        method="GET",
        path="/schedules",
        name="listSchedules",
        summary="Schedules, by name.",
        role=Role.VIEWER,
        handle=list_,
        answer=list[dict[str, Any]],
    ),
    Operation(
        method="GET",
        path="/schedules/{name}",
        name="showSchedule",
        summary="A schedule with its history, its last firings and its next slots.",
        role=Role.VIEWER,
        handle=show,
        answer=dict[str, Any],
    ),
    Operation(
        method="PUT",
        path="/schedules/{name}",
        name="putSchedule",
        summary="Declare a schedule, or change it.",
        role=Role.OPERATOR,
        handle=put,
        body=Wanted,
        answer=Recorded,
        problems=(HTTPStatus.CONFLICT,),
    ),
    _verb("pause", "pauseSchedule", "Fire nothing of a schedule from now on.", pause),
    _verb("resume", "resumeSchedule", "Fire a schedule's slots again.", resume),
    _verb("run", "runSchedule", "Ask for a schedule's task now.", run),
    _verb("removal", "removeSchedule", "Let there be no such schedule any more.", remove),
)
