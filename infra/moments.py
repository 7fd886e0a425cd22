"""Moments as people write them on the command line, up to the ends of the years there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
"""Seconds of each unit that a stretch of time may be written in."""
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

_STRETCH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")


def moment(text: str | None, *, now: datetime, option: str) -> datetime | None:
    """``2h`` ago, or a moment in ISO 8601; without an offset it is UTC.

    Raises:
        click.BadParameter: it is neither, or lies outside of the years there are.
    """
    if text is None:
        return None
    allowed = "allowed are 45s, 30m, 2h, 7d, 1w or a date and time in ISO 8601"
    try:
        if found := _AGO.fullmatch(text.strip()):
            return now - timedelta(seconds=float(found[1]) * SECONDS[found[2]])
        told = datetime.fromisoformat(text)
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time; {allowed}", param_hint=option) from None


def stretch(text: str | None, *, option: str) -> float | None:
    """``90``, ``45s``, ``30m``, ``2h``: a stretch of time, in seconds.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    if found := _STRETCH.fullmatch(text.strip()):
        return float(found[1]) * SECONDS[found[2] or "s"]
    raise click.BadParameter(f"{text!r} is no stretch of time; allowed are 90, 45s, 30m, 2h, 7d, 1w", param_hint=option)


def shifted(start: datetime, by: timedelta) -> datetime:
    """``by`` after ``start``, or before where it is negative; the last or first moment there is where that is none."""
    try:
        return start + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta(0) else datetime.min.replace(tzinfo=UTC)
