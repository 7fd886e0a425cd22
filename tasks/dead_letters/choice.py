"""Choosing dead letters on the command line: the filters that all commands share, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import click

from domain.dead_letter import LetterState
from infra.moments import SECONDS, moment
from projections.queries import LetterFilter

_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)/([smh])")
_OPTIONS: Final = (
    click.option("--run", "runs", multiple=True, metavar="ID", help="This run; may be given again."),
    click.option("--task", metavar="GLOB", help="The task's name; * is any characters, ? is one."),
    click.option("--error", metavar="TEXT", help="A part of the error's class or text."),
    click.option("--queue", metavar="NAME", help="The queue it died in, as tasks.high."),
    click.option("--license", "license_id", metavar="ID", help="The license whose business it is."),
    click.option("--since", metavar="WHEN", help="Dead since: 2h, 30m, 7d, or a date and time (ISO 8601; UTC)."),
    click.option("--until", metavar="WHEN", help="Dead before, likewise."),
)
_NAMES: Final = ("runs", "task", "error", "queue", "license_id", "since", "until")


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which dead letters are meant."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def taken_from(given: dict[str, Any], *, now: datetime, states: tuple[str, ...]) -> LetterFilter:
    """The filter that the options say; they are taken out of ``given``.

    Args:
        given: the command's options by name.
        now: the present, UTC.
        states: what may have been decided about the letters; empty: anything.

    Raises:
        click.BadParameter: a time is none.
    """
    told = {name: given.pop(name) for name in _NAMES}
    return LetterFilter(
        run_ids=tuple(told.pop("runs")),
        since=moment(told.pop("since"), now=now, option="--since"),
        until=moment(told.pop("until"), now=now, option="--until"),
        states=states,
        **told,
    )


def says_anything(which: LetterFilter) -> bool:
    """Whether it leaves any open letter out."""
    return bool(set(which.as_values()) - {"states", "below_generation"})


def per_second(text: str | None) -> float | None:
    """How many in a second: from ``5/s``, ``100/m`` or ``3600/h``.

    Raises:
        click.BadParameter: it is no such rate, or zero.
    """
    if text is None:
        return None
    found = _RATE.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise click.BadParameter(f"{text!r} is no rate; allowed are 5/s, 100/m, 3600/h", param_hint="--rate")
    return float(found[1]) / SECONDS[found[2]]


STATES: Final = tuple(state.value for state in LetterState)
