"""Rules that give the same answer in whatever order they are asked: for columns that several events may speak about."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

Value = TypeVar("Value", str, int)


def agreed(known: Value | None, told: Value | None) -> Value | None:
    """The value that everybody who knows it agrees on; should two ever differ, the greater one."""
    if told is None or told == known:
        return known
    return told if known is None else max(known, told)


def earliest(known: datetime | None, told: datetime | None) -> datetime | None:
    """The earlier of two moments; one that is not known does not count."""
    if known is None or told is None:
        return told if known is None else known
    return min(known, told)


def latest(known: datetime | None, told: datetime | None) -> datetime | None:
    """The later of two moments; one that is not known does not count."""
    if known is None or told is None:
        return told if known is None else known
    return max(known, told)
