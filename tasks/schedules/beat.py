"""Entries of Celery's beat as terms of schedules. What cannot be taken over whole is refused, with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from celery.schedules import crontab, maybe_schedule, schedule, solar

from domain.schedule_terms import Terms
from domain.tier import TIER_OF_QUEUE, Tier
from domain.timetable import Cron, Interval, Timetable

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._:-]+")


class BeatEntryRefused(ValueError):  # noqa: N818  what somebody has, no fault of ours
    """No schedule does what this entry of beat's does; the message says why."""


def schedule_name(entry: str) -> str:
    """What the schedule of an entry is called: its name, with hyphens for what a name may not have, and none first."""
    return _NOT_IN_NAMES.sub("-", entry).lstrip("-")[:100]


def terms_of(entry: Any, app: Any) -> Terms:
    """The terms of an entry of ``beat_schedule``: after an outage beat, too, fires once, and lets runs overlap.

    Args:
        entry: its dictionary (Celery documentation, "Periodic Tasks", "Available Fields").
        app: the application that it is an entry of, which has a time zone.

    Raises:
        BeatEntryRefused: it does something that a schedule cannot, or is no entry at all.
    """
    if not isinstance(entry, Mapping):
        raise BeatEntryRefused(f"it is no dictionary but {type(entry).__qualname__}")
    try:
        terms = _terms(entry, app)
        json.dumps(terms.kwargs, allow_nan=False)  # msgspec would make text of what is a date to the task
    except BeatEntryRefused:
        raise
    except Exception as error:  # what stands there is somebody else's objects, which may raise anything
        raise BeatEntryRefused(f"it cannot be read: {type(error).__qualname__}: {error}") from error
    return terms


def _terms(entry: Mapping[str, Any], app: Any) -> Terms:
    if missing := {"task", "schedule"} - entry.keys():
        raise BeatEntryRefused(f"it has no {' and no '.join(sorted(missing))}")
    if not isinstance(entry["task"], str):
        raise BeatEntryRefused(f"its task is no name but {type(entry['task']).__qualname__}")
    if entry.get("args"):
        raise BeatEntryRefused("it has positional arguments; schedules call by keyword")
    options = dict(entry.get("options") or {})
    tier = TIER_OF_QUEUE.get(str(options.pop("queue", Tier.NORMAL.queue)))
    if tier is None:
        raise BeatEntryRefused(f"its queue is no tier's; allowed are {', '.join(TIER_OF_QUEUE)}")
    if options:
        raise BeatEntryRefused(f"it has options that a schedule has not: {', '.join(sorted(options))}")
    timetable = _timetable(maybe_schedule(entry["schedule"], app=app))
    return Terms(task=entry["task"], timetable=timetable, kwargs=dict(entry.get("kwargs") or {}), tier=tier.value)


def _timetable(found: Any) -> Timetable:
    if isinstance(found, solar):
        raise BeatEntryRefused("it goes by the sun; no timetable of ours does")
    if getattr(found, "nowfun", None) is not None:
        raise BeatEntryRefused("it has a clock of its own (nowfun)")
    if isinstance(found, crontab):
        return _cron(found)
    if type(found) is schedule:
        return Interval(found.run_every.total_seconds())
    raise BeatEntryRefused(f"nobody here knows what {type(found).__qualname__} means")


def _cron(found: Any) -> Cron:
    minute, hour, day, month, weekday = (
        _field(found._orig_minute, found.minute),  # noqa: SLF001  Celery keeps what was written there only
        _field(found._orig_hour, found.hour),  # noqa: SLF001
        _field(found._orig_day_of_month, found.day_of_month),  # noqa: SLF001
        _field(found._orig_month_of_year, found.month_of_year),  # noqa: SLF001
        _field(found._orig_day_of_week, found.day_of_week),  # noqa: SLF001
    )
    if not day.startswith("*") and not weekday.startswith("*"):
        raise BeatEntryRefused("it names days of the month and of the week: beat wants both to fit, cron either")
    zone = getattr(found.tz, "key", None) or str(found.tz)
    return Cron(f"{minute} {hour} {day} {month} {weekday}", zone)


def _field(written: Any, meant: Iterable[int]) -> str:
    """A field as cron has it: as it was written where that is a star, else every number that it means."""
    if isinstance(written, str) and re.fullmatch(r"\*(/\d+)?", written):
        return written
    return ",".join(str(number) for number in sorted(meant))
