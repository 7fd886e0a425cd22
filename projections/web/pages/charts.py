"""Small charts as SVG, made on the server: numbers in, shapes out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

WIDTH: Final = 600
HEIGHT: Final = 120
_GAP: Final = 0.15


class Bar(NamedTuple):
    """A bar of one stretch of time, in two parts; units are those of the drawing."""

    x: float
    width: float
    good_y: float
    good_height: float
    bad_y: float
    bad_height: float
    title: str


class Chart(NamedTuple):
    """Bars side by side; ``most`` is what the full height stands for."""

    bars: list[Bar]
    most: int
    begins: str
    ends: str
    total: int
    bad: int


class Piece(NamedTuple):
    """A part of a whole, from left to right, in per cent."""

    name: str
    x: float
    width: float
    seconds: float


def chart(rows: Sequence[dict[str, Any]]) -> Chart:
    """A chart of rows with ``at`` (text), ``good`` and ``bad``."""
    most = max([row["good"] + row["bad"] for row in rows] + [1])
    step = WIDTH / max(len(rows), 1)
    return Chart(
        [_bar(row, index * step, step, HEIGHT / most) for index, row in enumerate(rows)],
        most,
        rows[0]["at"] if rows else "",
        rows[-1]["at"] if rows else "",
        sum(row["good"] + row["bad"] for row in rows),
        sum(row["bad"] for row in rows),
    )


def _bar(row: dict[str, Any], x: float, step: float, unit: float) -> Bar:
    good, bad = row["good"] * unit, row["bad"] * unit
    title = f"{row['at']}: {row['good']:,} succeeded, {row['bad']:,} did not"
    return Bar(
        round(x, 2),
        round(step * (1 - _GAP), 2),
        round(HEIGHT - good, 2),
        round(good, 2),
        round(HEIGHT - good - bad, 2),
        round(bad, 2),
        title,
    )


def split(parts: dict[str, float | None]) -> list[Piece]:
    """The parts of a whole that are longer than nothing, in order."""
    there = {name: seconds for name, seconds in parts.items() if seconds}
    whole = sum(there.values())
    pieces, x = [], 0.0
    for name, seconds in there.items():
        width = 100 * seconds / whole
        pieces.append(Piece(name, round(x, 3), round(width, 3), seconds))
        x += width
    return pieces
