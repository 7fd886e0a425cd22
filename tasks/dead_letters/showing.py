"""Showing dead letters and replays: tables for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from domain.run import TaskRun
from domain.task_run import TaskEvent
from projections.queries import LetterRow
from tasks.dead_letters.edit import as_document
from tasks.dead_letters.letter import Letter, UnreplayableError
from tasks.dead_letters.replay import Tally
from tasks.dead_letters.survey import Survey
from tasks.run_story import tell

TEXT_CHARACTERS: Final = 60
PIPED_COLUMNS: Final = 200


def encode(value: Any) -> str:
    """JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def print_letters(rows: Sequence[LetterRow], *, count: int) -> None:
    """A table of dead letters, and how many there are beyond it."""
    shown = [
        {
            "run": row.run_id,
            "task": row.task,
            "died": row.dead_lettered_at,
            "reason": row.reason,
            "error": ": ".join(filter(None, (row.error_type, row.error))),
            "queue": row.queue,
            "license": row.license_id,
            "attempts": row.attempt_count,
            "state": row.letter_state,
            "gen": row.generation,
        }
        for row in rows
    ]
    print_table(shown)
    more = f", {len(rows)} of them shown (--limit)" if count > len(rows) else ""
    click.echo(f"{count:,} dead {'letter' if count == 1 else 'letters'}{more}")


def print_table(rows: Sequence[dict[str, Any]], *, nothing: str = "none") -> None:
    """A table with the rows' names as its head."""
    if not rows:
        click.echo(nothing)
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_COLUMNS)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in rows[0]:
        table.add_column(name, overflow="fold", no_wrap=name == "run")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.print(table, markup=False, highlight=False)


def print_letter(letter: Letter, *, trace: str | None) -> None:
    """Everything the log has of a dead letter.

    Args:
        letter: the letter.
        trace: in which trace it died, as people are told.
    """
    events = [each.event for each in letter.events if isinstance(each.event, TaskEvent)]
    click.echo(tell(TaskRun.fold(events), trace=trace))
    message = letter.died.message
    click.echo(f"\nletter {letter.state.value}, generation {letter.generation}, died of {letter.died.reason}")
    for name, value in (("queue", letter.died.queue), ("priority", letter.priority), ("license", letter.license_id)):
        if value is not None:
            click.echo(f"  {name}: {value}")
    if message is not None:
        click.echo(f"  message: {message.size_bytes} bytes, {message.content_type}, {message.content_encoding}")
        for name, value in message.headers.items():
            click.echo(f"    {name}: {msgspec.json.encode(value).decode()}")
        if message.headers_left_out:
            click.echo(f"    (not kept: {', '.join(message.headers_left_out)})")
    try:
        click.echo(encode(as_document(letter.payload())))
    except UnreplayableError as error:
        click.echo(f"  cannot be replayed: {error}")
        if message is not None and message.body is not None:
            click.echo(message.body)


def letter_values(letter: Letter) -> dict[str, Any]:
    """Everything the log has of a dead letter, for programs."""
    return {
        "run_id": letter.run_id,
        "task": letter.task,
        "state": letter.state.value,
        "generation": letter.generation,
        "license_id": letter.license_id,
        "tier": letter.tier.value,
        "priority": letter.priority,
        "events": [
            {"name": each.event.name, "at": each.event.timestamp, **each.event.data()} for each in letter.events
        ],
    }


def print_survey(seen: Survey) -> None:
    """What a replay would do: how many, of which errors, and a few of them whole."""
    click.echo(f"would replay {seen.replayable} dead letters; nothing is written")
    print_table(_groups(seen))
    _print_left(seen.left)
    for letter, planned in seen.samples:
        click.echo(f"{letter.run_id}  {letter.task}  died {letter.died_at:%Y-%m-%d %H:%M:%S} UTC")
        click.echo(f"  {msgspec.json.encode(as_document(planned.payload)).decode()}")
        if planned.patch:
            click.echo(f"  changed: {msgspec.json.encode(planned.patch).decode()}")


def survey_values(seen: Survey) -> dict[str, Any]:
    """The same for programs."""
    return {
        "would_replay": seen.replayable,
        "groups": _groups(seen),
        "left": seen.left,
        "samples": [
            {"run_id": letter.run_id, "task": letter.task, **as_document(planned.payload), "patch": planned.patch}
            for letter, planned in seen.samples
        ],
    }


def _groups(seen: Survey) -> list[dict[str, Any]]:
    return [{"task": task, "error": error, "letters": n} for (task, error), n in seen.groups.most_common()]


def print_tally(tally: Tally, done: str) -> None:
    """What became of the letters: how many were ``done``, and why the others were not."""
    click.echo(f"{len(tally.done)} {done}")
    _print_left(tally.left)


def _print_left(left: dict[str, str]) -> None:
    for why, number in Counter(left.values()).most_common():
        click.echo(f"{number} left alone: {why}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = " ".join(str(value).split())
    return text if len(text) <= TEXT_CHARACTERS else f"{text[: TEXT_CHARACTERS - 1]}…"


def fitting(rows: Iterable[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with these columns only."""
    return [{name: row[name] for name in names} for row in rows]
