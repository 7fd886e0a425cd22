"""``ledgerq schedule import-beat``."""

from __future__ import annotations

import getpass
import importlib
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import click

from domain.aggregate import Event
from domain.cause import Cause
from domain.refusal import Refusal
from domain.schedule import ScheduleState, ScheduleUnchanged
from infra.database.door import told_in_one_line
from infra.event_store import EventStore, Log, LostRaceError, caused
from infra.settings import load_settings
from tasks.schedules.asking import terms_flaw
from tasks.schedules.reading import folded, story

REASON: Final = "imported from Celery's beat"


@click.command("import-beat")
@click.argument("place", metavar="MODULE:APP")
@click.option("--apply", "is_applied", is_flag=True, help="Add and change schedules; without it nothing is done.")
def import_beat(place: str, *, is_applied: bool) -> None:
    """Make schedules of the entries of a Celery application's beat_schedule; done again, change those that differ.

    The status is 1 where an entry was refused. Stop beat first: else both ask for the same.
    """
    app, entries = _loaded(place)
    names = _names(entries)
    refused = 0
    url = load_settings().database_url.get_secret_value()
    with told_in_one_line("schedule import-beat"), EventStore(url, connections=1, name="schedule command") as store:
        for entry_name, entry in sorted(entries.items(), key=lambda item: str(item[0])):
            try:
                name = _own(entry_name, names)
                click.echo(f"{entry_name}: {_take_over(store, name, entry, app, is_applied=is_applied)}")
            except (ValueError, Refusal, LostRaceError) as error:
                refused += 1
                click.echo(f"{entry_name}: refused: {error}", err=True)
    if not is_applied:
        click.echo("nothing was done: --apply adds and changes schedules")
    if refused:
        raise click.exceptions.Exit(1)


def _names(entries: Iterable[Any]) -> dict[str, str]:
    """What the schedule of each entry would be called that has a name."""
    from tasks.schedules.beat import schedule_name  # noqa: PLC0415  the other commands do without Celery

    return {entry: schedule_name(entry) for entry in entries if isinstance(entry, str)}


def _own(entry: Any, names: dict[str, str]) -> str:
    """The name of an entry's schedule; ValueError where it has none, or another entry's would be called the same."""
    if entry not in names:
        raise ValueError(f"its name is no text but {type(entry).__qualname__}")
    others = sorted(other for other, name in names.items() if name == names[entry] and other != entry)
    if others:
        raise ValueError(f"its schedule would be called {names[entry]}, as that of {', '.join(others)}; rename one")
    return names[entry]


def _take_over(store: EventStore, name: str, entry: Any, app: Any, *, is_applied: bool) -> str:
    from tasks.schedules.beat import terms_of  # noqa: PLC0415  as above

    now, terms = datetime.now(UTC), terms_of(entry, app)
    if flaw := terms_flaw(terms):
        raise ValueError(flaw)
    known = folded(name, story(store, name))
    is_new = known.state in {ScheduleState.ABSENT, ScheduleState.REMOVED}
    try:
        verb = known.declare if is_new else known.change
        event: Event = verb(terms, at=now, reason=REASON)
    except ScheduleUnchanged:
        return f"schedule {name} is so already"
    if is_applied:
        store.append(Log.LICENSING, caused([event], Cause(id=uuid4(), at=now, actor=getpass.getuser())))
    return f"schedule {name} {'added' if is_new else 'changed'}: {terms.timetable}, {terms.task}"


def _loaded(place: str) -> tuple[Any, dict[Any, Any]]:
    """The application at ``place``, and its entries. Both are somebody else's code, which may raise anything."""
    module, _, attribute = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        app = getattr(importlib.import_module(module), attribute)
        entries = app.conf.beat_schedule or {}
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__qualname__}: {error}".split())
        raise click.BadParameter(
            f"no application's beat_schedule there: {why}; wanted is MODULE:APP, as proj.celery:app",
            param_hint="MODULE:APP",
        ) from error
    finally:
        sys.path.pop(0)
    if not isinstance(entries, Mapping):
        raise click.BadParameter(
            f"the beat_schedule of {place} is no dictionary but {type(entries).__qualname__}", param_hint="MODULE:APP"
        )
    return app, dict(entries)
