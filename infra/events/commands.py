"""``ledgerq events``: read the logs; seal, verify, archive them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from uuid import UUID

import click

from domain.aggregate import EVENT_CLASSES
from infra.events import showing
from infra.events.archive_command import archive_command, restore_command
from infra.events.archive_reading import ArchiveReader
from infra.events.asking import archive_option, chosen, json_option, log_option, now, opened
from infra.events.reading import Logged, LogReader, Which, story_streams
from infra.events.seal_commands import seal_command, verify_command
from infra.events.tailing import Tail
from infra.moments import moment
from infra.settings import load_settings
from infra.stopping import StopRequest
from infra.tracing.address import shown, trace_of
from infra.words import WORDS

LOOK_EVERY_SECONDS: Final = 0.2
STREAM_PAGE_EVENTS: Final = 500
KINDS: Final = ("session", "license", "task_run")
"""Kinds of streams whose things people know by a bare id."""


@click.group()
def events() -> None:
    """The logs: follow them, show an event, a stream, a story; seal, verify, archive them."""


for _command in (seal_command, verify_command, archive_command, restore_command):
    events.add_command(_command)


@events.command()
@log_option
@click.option("--name", "names", multiple=True, metavar="NAME", help="Of this name; * is any characters. Repeatable.")
@click.option(
    "--stream",
    "prefix",
    type=WORDS,
    metavar="PREFIX",
    help="Of streams whose id begins like this: session-, task_run-0192.",
)
@click.option("--since", metavar="WHEN", help="Begin with what was recorded then: 2h, 30m, 7d, or ISO 8601 (UTC).")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="How many of the last events to begin with, without --since.",
)
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on until Ctrl-C.")
@archive_option
@json_option
def tail(
    *,
    logs: tuple[str, ...],
    names: tuple[str, ...],
    prefix: str | None,
    since: str | None,
    lines: int,
    follow: bool,
    archives: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show the last events, and those that come, as they become final; several logs in order of recording."""
    _check_names(names)
    begin = moment(since, now=now(), option="--since")
    which = Which(names, prefix, begin)
    with StopRequest() as stop, opened("events tail", archives) as reader:
        if isinstance(reader, ArchiveReader):
            found = reader.last(chosen(logs), which, lines) if begin is None else reader.matching(chosen(logs), which)
            _tell(found, as_json=as_json)
            return
        tailing = Tail(reader, chosen(logs), which)
        _tell(_beginning(tailing, begin, lines), as_json=as_json)
        while follow and not stop.wait(LOOK_EVERY_SECONDS):
            _tell(tailing.look(), as_json=as_json)


@events.command()
@click.argument("event_id", type=click.UUID)
@archive_option
@json_option
def show(event_id: UUID, *, archives: tuple[Path, ...], as_json: bool) -> None:
    """Show the whole of the event EVENT_ID."""
    with opened("events show", archives) as reader:
        found = reader.event(event_id)
        if not found:
            raise click.ClickException(f"no log has an event {event_id}, as far as they are final")
        for each in found:
            click.echo(showing.json_line(each) if as_json else _whole(reader, each))


@events.command()
@click.argument("stream_id", type=WORDS)
@archive_option
@json_option
def stream(stream_id: str, *, archives: tuple[Path, ...], as_json: bool) -> None:
    """Show the stream STREAM_ID in order of version; the bare id of a session, a license or a run will do."""
    with opened("events stream", archives) as reader:
        known = reader.logs_of(story_streams(stream_id, KINDS))
        if not known:
            tried = ", ".join(story_streams(stream_id, KINDS))
            raise click.ClickException(f"no log has a stream of that name; tried {tried}")
        if len(known) > 1 and stream_id not in known:
            raise click.ClickException(f"{stream_id} may be any of {', '.join(sorted(known))}: say which")
        name = stream_id if stream_id in known else next(iter(known))
        _tell(reader.stream(known[name], name, limit=STREAM_PAGE_EVENTS), as_json=as_json)


@events.command()
@click.argument("correlation_id", type=WORDS)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Most events of each log."
)
@archive_option
@json_option
def correlation(correlation_id: str, *, limit: int, archives: tuple[Path, ...], as_json: bool) -> None:
    """Show the story CORRELATION_ID: its events in all logs, in order of their time."""
    with opened("events correlation", archives) as reader:
        found = reader.correlation(correlation_id, limit=limit)
    if not found:
        raise click.ClickException(f"no log has an event of a story {correlation_id}, as far as they are final")
    _tell(found, as_json=as_json)
    if any(sum(each.log is log for each in found) == limit for log in {each.log for each in found}):
        click.echo(f"these are the first {limit} of a log; there may be more: --limit", err=True)


def _beginning(tailing: Tail, since: datetime | None, lines: int) -> Iterable[Logged]:
    """The events that a tail begins with."""
    if since is not None:
        tailing.begin_since(since)
        return tailing.look()
    found, is_everything = tailing.last(lines)
    if not is_everything:
        click.echo("further back there may be more: --since looks there", err=True)
    return found


def _tell(found: Iterable[Logged], *, as_json: bool) -> None:
    for each in found:
        click.echo(showing.json_line(each) if as_json else showing.line(each))


def _whole(reader: LogReader | ArchiveReader, logged: Logged) -> str:
    trace_id = trace_of(logged.metadata)
    trace = None if trace_id is None else shown(trace_id, load_settings())
    return showing.whole(logged, cause=_cause(reader, logged), trace=trace)


def _cause(reader: LogReader | ArchiveReader, logged: Logged) -> Logged | None:
    """The event that ``logged`` names as its cause; often its cause is a message and no event."""
    try:
        causation = UUID(str(logged.metadata.get("causation_id")))
    except ValueError:
        return None
    return next(iter(reader.event(causation)), None)


def _check_names(names: tuple[str, ...]) -> None:
    """Refuse names that no event has: a misspelt filter would wait for ever without a word."""
    for name in names:
        if not any(fnmatchcase(known, name.replace("[", "[[]").replace("?", "[?]")) for known in EVENT_CLASSES):
            near = [known for known in sorted(EVENT_CLASSES) if known.startswith(name.partition(".")[0].rstrip("*"))]
            allowed = f"; there are {', '.join(near)}" if near else " (docs/events.md has them all)"
            raise click.BadParameter(f"no event is called {name!r}{allowed}", param_hint="--name")
