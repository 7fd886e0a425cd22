"""Options that say by which terms a schedule is to live, and the terms they make."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import click
import msgspec

from domain.schedule_terms import CatchUp, Overlap, Terms
from domain.tier import Tier
from domain.timetable import Cron, Interval, Once, Timetable
from infra.cloudevents.text import unstorable
from infra.moments import moment, stretch
from infra.words import WORDS
from tasks.decision_commands import Option, reason_option

_OPTIONS: Final[tuple[Option, ...]] = (
    click.option("--task", type=WORDS, help="The task that is asked for."),
    click.option("--kwargs", type=WORDS, metavar="JSON", help="Its keyword arguments, a JSON object."),
    click.option("--tier", type=click.Choice([tier.value for tier in Tier]), help="Default: normal."),
    click.option("--cron", metavar="EXPRESSION", help="Minute, hour, day, month, weekday; or @daily and the like."),
    click.option("--zone", help="Time zone of --cron, an IANA name. Default: UTC."),
    click.option("--every", metavar="STRETCH", help="Again and again: 90, 45s, 30m, 2h, 1d."),
    click.option("--anchor", metavar="WHEN", help="A moment that --every counts from. Default: 1970."),
    click.option("--at", "once_at", metavar="WHEN", help="Once, at a date and time (ISO 8601; UTC)."),
    click.option(
        "--catch-up",
        type=click.Choice([each.value for each in CatchUp]),
        help="Slots missed in an outage. Default: last.",
    ),
    click.option("--catch-up-for", metavar="STRETCH", help="With all: how late a slot may be fired. Default: 1d."),
    click.option(
        "--overlap",
        type=click.Choice([each.value for each in Overlap]),
        help="While an earlier run is open. Default: allow.",
    ),
    click.option("--any-task", is_flag=True, help="Take a task that is not known here: another program's."),
    reason_option,
)


def terms_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of terms; :func:`asked_terms` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Asked(NamedTuple):
    """The terms that options make, and why they are wanted."""

    terms: Terms
    reason: str | None


def asked_terms(known: Terms | None, *, now: datetime, **options: Any) -> Asked:
    """The terms: those that are known, with what the options say in their place.

    Raises:
        click.UsageError: the options make none, or contradict each other, or what they say cannot be stored.
    """
    task, timetable = options["task"], _timetable(known.timetable if known else None, now=now, **options)
    if task is not None and not options["any_task"]:
        check_task(task)
    if known is None and (task is None or timetable is None):
        raise click.UsageError("a schedule needs a --task, and one of --cron, --every and --at")
    said = {
        "task": task,
        "timetable": timetable,
        "kwargs": _kwargs(options["kwargs"]),
        "tier": options["tier"],
        "catch_up": options["catch_up"] and CatchUp(options["catch_up"]),
        "catch_up_seconds": stretch(options["catch_up_for"], option="--catch-up-for"),
        "overlap": options["overlap"] and Overlap(options["overlap"]),
    }
    given = {name: value for name, value in said.items() if value is not None}
    terms = Terms(**given) if known is None else msgspec.structs.replace(known, **given)
    if flaw := terms_flaw(terms):
        raise click.UsageError(f"--kwargs: {flaw}")
    return Asked(terms, options["reason"])


def terms_flaw(terms: Terms) -> str | None:
    """Why no request could be stored that calls by these, or None where all could."""
    return unstorable(msgspec.json.encode(terms))


def check_task(name: str) -> None:
    """See that a task of this name is known.

    Raises:
        click.BadParameter: none is; the message names some that are.
    """
    known = known_tasks()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
        raise click.BadParameter(
            f"no task {name!r} is known here; known are {', '.join(near)}"
            f"{'' if len(near) == len(known) else ' and others'}; --any-task takes it nevertheless",
            param_hint="--task",
        )


def known_tasks() -> list[str]:
    """Names of the tasks that workers of this code execute."""
    from tasks.app import app  # noqa: PLC0415  whoever lists schedules need not load Celery

    app.loader.import_default_modules()
    return sorted(name for name in app.tasks if not name.startswith("celery."))


def _timetable(known: Timetable | None, *, now: datetime, **options: Any) -> Timetable | None:
    cron, every, once_at = options["cron"], stretch(options["every"], option="--every"), options["once_at"]
    if sum(each is not None for each in (cron, every, once_at)) > 1:
        raise click.UsageError("--cron, --every and --at: a schedule goes by one of them")
    zone, anchor = options["zone"], moment(options["anchor"], now=now, option="--anchor")
    by_cron = cron is not None or (every is once_at is None and isinstance(known, Cron))
    by_interval = every is not None or (cron is once_at is None and isinstance(known, Interval))
    if (zone is not None and not by_cron) or (anchor is not None and not by_interval):
        raise click.UsageError("--zone goes with --cron, and --anchor with --every")
    if by_cron and (cron is not None or zone is not None):
        before = known if isinstance(known, Cron) else Cron("")
        return Cron(before.expression if cron is None else cron, before.zone if zone is None else zone)
    if by_interval and (every is not None or anchor is not None):
        kept = known if isinstance(known, Interval) else Interval(0.0)
        return Interval(kept.every_seconds if every is None else every, anchor or kept.anchor)
    at = moment(once_at, now=now, option="--at")
    return None if at is None else Once(at)


def _kwargs(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{error}; wanted is a JSON object", param_hint="--kwargs") from error
