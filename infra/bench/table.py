"""Figures for people: a ratio stands beside the two rates it is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_RATE: Final = "_per_second"
_RATIO: Final = "_vs_"
HEAD: Final = ("measurement", "figure", "ours/s", "beside it/s", "goal")


class Line(NamedTuple):
    """A line of the table.

    Attributes:
        name: key of the figure.
        figure: its value.
        ours: the rate a ratio is of, a second; None where the figure is no ratio of rates.
        beside: the limit's or the peer's rate, in the same unit.
    """

    name: str
    figure: float
    ours: float | None = None
    beside: float | None = None


def lines(figures: Mapping[str, float]) -> Iterator[Line]:
    """A line for each figure; rates that a ratio shows have none of their own."""
    shown: set[str] = set()
    ratios: dict[str, Line] = {}
    for name, value in figures.items():
        measurement, ratio, beside = name.partition(_RATIO)
        ours = next((key for key in (f"{measurement}_appended{_RATE}", measurement + _RATE) if key in figures), None)
        theirs = f"{measurement}_{beside}{_RATE}"
        if ratio and ours is not None and theirs in figures:
            ratios[name] = Line(name, value, figures[ours], figures[theirs])
            shown |= {ours, theirs}
    for name, value in figures.items():
        if name not in shown:
            yield ratios.get(name, Line(name, value))


def rendered(figures: Mapping[str, float], goals: Mapping[str, str]) -> Iterator[str]:
    """The table's lines of text."""
    rows = [(line.name, f"{line.figure:,.2f}", _rate(line.ours), _rate(line.beside)) for line in lines(figures)]
    table = [HEAD, *((*row, goals.get(row[0], "")) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    for name, *numbers, goal in table:
        cells = [f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=False)]
        yield "  ".join((f"{name:<{widths[0]}}", *cells, goal)).rstrip()


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
