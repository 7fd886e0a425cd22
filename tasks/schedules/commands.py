"""``ledgerq schedule``: what is asked for again and again, or later; and what people do about it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import click
import msgspec

from domain.aggregate import Event
from domain.schedule import Schedule, ScheduleState, ScheduleUnknown, scheduled_run_id
from infra.event_store import NewEvent
from tasks.decision_commands import json_option, name_argument, opened, reason_option, verb_of
from tasks.schedules.asking import asked_terms, terms_options
from tasks.schedules.beat_command import import_beat
from tasks.schedules.doing import Verb, do
from tasks.schedules.reading import every_schedule, folded, next_slots, story
from tasks.schedules.showing import line, summary, tell, values

COMMAND: Final = "schedule"


@click.group()
def schedule() -> None:
    """Schedules: list and show them; add, change, pause, resume, remove one, or run it now."""


schedule.add_command(import_beat)


@schedule.command("list")
@click.option("--all", "is_all", is_flag=True, help="Those that were removed or are over, too.")
@json_option
def list_schedules(*, is_all: bool, as_json: bool) -> None:
    """Every schedule: its timetable, its task, its next slot, and what it is up to."""
    with opened(COMMAND) as store:
        found = every_schedule(store)
        seen = store.settled_slots([each.name for each in found])
    told = [summary(each, seen=seen.get(each.name)) for each in found]
    shown = [each for each in told if is_all or each["state"] in {ScheduleState.ACTIVE, ScheduleState.PAUSED}]
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
        return
    for each in shown:
        click.echo(line(each))


@schedule.command()
@name_argument
@json_option
def show(name: str, *, as_json: bool) -> None:
    """One schedule: its terms, what was done about it and why, its last firings and its next slots."""
    with opened(COMMAND) as store:
        told = story(store, name)
        if not told:
            raise click.ClickException(str(ScheduleUnknown(Schedule(name).stream)))
        seen, fired = store.settled_slots([name]).get(name), store.fired_slots(name, limit=5)
    found = values(folded(name, told), told, fired, seen=seen)
    click.echo(msgspec.json.encode(found).decode() if as_json else tell(found))


@schedule.command("next")
@name_argument
@click.option("--count", "most", type=click.IntRange(1, 1000), default=10, show_default=True)
def next_(name: str, *, most: int) -> None:
    """The slots of a schedule that come next, in UTC; none while it is paused."""
    with opened(COMMAND) as store:
        known = folded(name, story(store, name))
        if known.state in {ScheduleState.ABSENT, ScheduleState.REMOVED}:
            raise click.ClickException(str(ScheduleUnknown(known.stream)))
        seen = store.settled_slots([name]).get(name)
    for slot in next_slots(known, seen=seen, most=most):
        click.echo(slot.isoformat())


@schedule.command()
@name_argument
@terms_options
def add(name: str, **options: Any) -> None:
    """Let there be a schedule NAME: a task, and when it is to be asked for."""
    now = datetime.now(UTC)
    terms, reason = asked_terms(None, now=now, **options)
    _do(name, lambda known, at: known.declare(terms, at=at, reason=reason))
    click.echo(f"{name}: {terms.timetable}, {terms.task}")


@schedule.command()
@name_argument
@terms_options
def change(name: str, **options: Any) -> None:
    """Change what the options name; slots that have come by now are fired as they were."""

    def verb(known: Schedule, at: datetime) -> Event:
        if known.terms is None:
            raise ScheduleUnknown(known.stream)
        terms, reason = asked_terms(known.terms, now=at, **options)
        return known.change(terms, at=at, reason=reason)

    _do(name, verb)
    click.echo(f"{name}: changed")


@verb_of(schedule, done="paused")
def pause(name: str, reason: str | None) -> None:
    """Fire nothing of a schedule from now on; the slots that pass are not caught up with."""
    _do(name, lambda known, at: known.pause(at=at, reason=reason))


@verb_of(schedule, done="resumed")
def resume(name: str, reason: str | None) -> None:
    """Fire the slots of a schedule again that come from now on."""
    _do(name, lambda known, at: known.resume(at=at, reason=reason))


@verb_of(schedule, done="removed")
def remove(name: str, reason: str | None) -> None:
    """Let there be no schedule NAME any more; the runs that it has asked for go on."""
    _do(name, lambda known, at: known.remove(at=at, reason=reason))


@schedule.command()
@name_argument
@reason_option
def run(name: str, *, reason: str | None) -> None:
    """Ask for the task of a schedule now, paused or not, and print the run's id; no slot is used up."""
    done = _do(name, lambda known, at: known.fire_by_hand(uuid4(), at=at, reason=reason))
    click.echo(str(scheduled_run_id(done.event_id, done.event.timestamp)))


def _do(name: str, verb: Verb) -> NewEvent:
    """Append what ``verb`` makes of the schedule, as whoever calls the command."""
    now = datetime.now(UTC)
    with opened(COMMAND) as store:
        return do(store, name, verb, actor=getpass.getuser(), at=now).new
