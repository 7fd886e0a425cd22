"""Cron expressions in a time zone: the one module of the domain that knows the `cronsim` library.

Both days on which clocks change follow Debian's cron (its manual page, cron(8), "Daylight Saving Time"). What comes at
a fixed time of the day comes once: what falls into the hour that is left out comes when that hour is over, and what
falls into the hour that there is twice comes the first time. What has a star in its minutes or hours goes by real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

FIELDS: Final = 5
SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
ALLOWED: Final = (
    "five fields: minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or JAN-DEC, day of the week 0-7 or SUN-SAT;"
    " in each * or lists, ranges and steps (1,3 or 8-17 or */15); or " + ", ".join(SHORTHANDS)
)


class CronInvalid(ValueError):  # noqa: N818  what somebody asked for, no fault of ours
    """It cannot be told when this comes; the message says what is allowed."""


def check_cron(expression: str, zone: str) -> None:
    """See that the expression can be read, that there is such a zone, and that some moment fits.

    Raises:
        CronInvalid: one of it is not so.
    """
    if next(cron_slots(expression, zone, after=datetime(2020, 1, 1, tzinfo=UTC)), None) is None:
        raise CronInvalid(f"no moment ever fits {expression!r}")


def cron_slots(expression: str, zone: str, *, after: datetime) -> Iterator[datetime]:
    """The moments that fit, in UTC, each later than ``after``; they end where none comes for fifty years.

    Args:
        expression: five fields, or a shorthand.
        zone: IANA name of the time zone by whose clocks the fields are meant.
        after: UTC.

    Raises:
        CronInvalid: the expression or the zone means nothing.
    """
    local = after.astimezone(_zone(zone))
    # From a clock that shows an hour for the second time the library starts as if it were the first.
    return (slot for found in _simulated(expression, local) if (slot := found.astimezone(UTC)) > after)


def _simulated(expression: str, start: datetime) -> CronSim:
    fields = SHORTHANDS.get(expression.strip().lower(), expression)
    if len(fields.split()) != FIELDS:  # the library takes seconds in a sixth one, and then leaves Debian's rules
        raise CronInvalid(f"{expression!r} is no cron expression; allowed are {ALLOWED}")
    try:
        return CronSim(fields, start)
    except (CronSimError, AssertionError) as error:  # the library asserts that what has a step begins with a number
        raise CronInvalid(f"{expression!r} is no cron expression: {error}; allowed are {ALLOWED}") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise CronInvalid(
            f"{name!r} is no time zone; allowed are names of the IANA database: Europe/Berlin, America/New_York, UTC"
        ) from error
