"""Presenting a report: tables on a terminal, aligned plain lines elsewhere, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from projections.report import Answer, Report

LONGEST_TEXT: Final = 72
"""Characters of a value that are shown; JSON has them all."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def encode(values: Any) -> str:
    """JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode()


def print_answer(answer: Answer, console: Console, *, nothing: str = "none") -> None:
    """One table on a terminal, aligned lines elsewhere."""
    if console.is_terminal:
        console.print(_table(answer) if answer else f"  [dim]{escape(nothing)}[/dim]")
    else:
        console.out("\n".join(_aligned(answer) or [nothing]), highlight=False)


def print_report(report: Report, console: Console) -> None:
    """Tables on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        _print_tables(report, console)
    else:
        console.out("\n".join(as_lines(report)), highlight=False)


def as_lines(report: Report) -> Iterator[str]:
    """Plain lines: a heading, then aligned columns."""
    for question, answer in report.answers:
        yield question.title
        yield from (f"  {line}" for line in _aligned(answer) or [question.nothing])
        yield ""
    yield f"Conservation, of tasks accepted until {_shown('', report.accepted_until)}"
    yield f"  {report.conservation.sentence()}"
    yield f"  {verdict(report)}"


def _print_tables(report: Report, console: Console) -> None:
    """The same for people at a terminal."""
    for question, answer in report.answers:
        console.print(f"\n[bold]{escape(question.title)}[/bold]")
        print_answer(answer, console, nothing=question.nothing)
    style = "green" if report.conservation.is_balanced else "bold red"
    console.print(f"\n[bold]Conservation[/bold], of tasks accepted until {_shown('', report.accepted_until)}")
    for text in (Text(report.conservation.sentence()), Text(verdict(report), style=style)):
        console.print(Padding(text, (0, 2)))


def verdict(report: Report) -> str:
    """Whether it balances and, if not, what to look at."""
    found = report.conservation
    if found.is_balanced:
        return "It balances: every accepted task has ended in exactly one recorded way."
    reasons = []
    if found.disagreeing:
        reasons.append(f"the log and the read model disagree on {found.disagreeing} (do projections lag, or park?)")
    if found.open:
        reasons.append(f"{found.open} of them still open: waiting, running or between two attempts")
    return f"It does not balance yet: {'; '.join(reasons)}."


def _table(answer: Answer) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=False, header_style="dim")
    for name in answer[0]:
        table.add_column(_heading(name), justify="right" if _is_number(answer, name) else "left", overflow="fold")
    for row in answer:
        table.add_row(*(escape(_shown(name, value)) for name, value in row.items()))
    return table


def _aligned(answer: Answer) -> list[str]:
    if not answer:
        return []
    names = list(answer[0])
    cells = [[_heading(name) for name in names], *([_shown(name, row[name]) for name in names] for row in answer)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(names))]
    numbers = [_is_number(answer, name) for name in names]
    return [_line(line, widths, numbers) for line in cells]


def _line(cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if is_number else cell.ljust(width)
        for cell, width, is_number in zip(cells, widths, numbers, strict=True)
    )
    return "  ".join(padded).rstrip()


def _heading(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _is_number(answer: Answer, name: str) -> bool:
    return all(isinstance(row[name], int | float | Decimal | None) for row in answer)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "–"  # noqa: RUF001  an en dash is how an empty cell is written
    if name.endswith("_seconds"):
        return duration(float(value))
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S %Z}"
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def duration(seconds: float) -> str:
    """``850 ms``, ``2.41 s``, ``5.0 min``, ``3.2 h`` or ``4.5 d``: three digits are enough for a person."""
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.0f} ms"
    if size < _MINUTE:
        return f"{seconds:.2f} s"
    if size < _HOUR:
        return f"{seconds / _MINUTE:.1f} min"
    if size < _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} d"
