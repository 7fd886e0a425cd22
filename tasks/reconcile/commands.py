"""``ledgerq reconcile``."""

from __future__ import annotations

import getpass
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from infra import database
from infra.broker.errors import BrokerError
from infra.broker.publisher import Publisher
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore
from infra.settings import Settings, load_settings
from tasks.reconcile.contents import TooManyMessagesError
from tasks.reconcile.fan_in_repair import Ended, end_fan_ins
from tasks.reconcile.fan_ins import StuckFanIn
from tasks.reconcile.judging import Standing
from tasks.reconcile.look import STATS_SECONDS
from tasks.reconcile.looking import FAN_IN_AGE, Found, LogBehindError, Searcher
from tasks.reconcile.open_run import OpenRun
from tasks.reconcile.repair import Repaired, Repairer
from tasks.reconcile.showing import fan_in_values, print_fan_ins

NAMED_AT_MOST: Final = 50
"""Runs that are named one by one; ``--json`` names all."""
_CANNOT_SAY: Final = 2
_SPOKEN: Final = {
    Standing.AT_DISPATCH: "waiting for dispatch",
    Standing.WAITING: "waiting for an event or a time",
    Standing.EXPECTED: "waiting where it should, for all we know",
    Standing.SEEN: "seen waiting",
    Standing.AT_WORKER: "being executed",
    Standing.MOVING: "moved while we looked",
}


@click.command()
@click.option("--repair", is_flag=True, help="Publish what is nowhere again, and end fan-ins that cannot complete.")
@click.option("--read", is_flag=True, help="Also read the messages in queues and ladder, where counts do not suffice.")
@click.option(
    "--patience",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="How long the log may take to catch up with a look.",
)
@click.option(
    "--settle",
    default=STATS_SECONDS,
    show_default=True,
    type=click.FloatRange(min=STATS_SECONDS),
    metavar="SECONDS",
    help="Between two looks. Where a queue is never empty: longer than a message waits in it.",
)
@click.option(
    "--fan-in-age",
    default=FAN_IN_AGE.total_seconds(),
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long after a fan-in's declaration its members are asked after. Longer than a client takes to send them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def reconcile(*, repair: bool, read: bool, patience: float, settle: float, fan_in_age: float, as_json: bool) -> None:
    """Name every accepted task that is nowhere: not in the log's past, not in the broker, not at a worker.

    Also every fan-in (chord) that can never complete, because its client died before it had sent all members.

    Takes half a minute: it looks three or four times, so as not to name what is merely on its way. Exit status: 0 when
    nothing is missing (or all of it was published again), 1 when something is, 2 when it cannot be said.
    """
    settings = load_settings()
    tell = (lambda _line: None) if as_json else click.echo
    try:
        searcher = Searcher(
            settings,
            timedelta(seconds=patience),
            timedelta(seconds=settle),
            fan_in_age=timedelta(seconds=fan_in_age),
            reads=read,
            tell=tell,
        )
        with database.connect(settings, name="reconcile") as connection:
            found = searcher.find(connection)
        repaired = _repair(settings, found.nowhere) if repair and found.nowhere else None
        ended = _end(settings, found.fan_ins) if repair and found.fan_ins else None
    except (BrokerError, DatabaseUnreachableError, LogBehindError, TooManyMessagesError) as error:
        click.echo(f"ledgerq reconcile: {error}", err=True)
        sys.exit(_CANNOT_SAY)
    if as_json:
        values = _values(found, repaired) | fan_in_values(found.fan_ins, ended)
        click.echo(msgspec.json.encode(values).decode())
    else:
        _print(found, repaired)
        print_fan_ins(found.fan_ins, ended)
    sys.exit(0 if _is_well(found, repaired) and not (found.fan_ins and ended is None) else 1)


def _repair(settings: Settings, runs: list[OpenRun]) -> Repaired:
    url = settings.database_url.get_secret_value()
    with EventStore(url, connections=1, name="reconcile") as store, Publisher(settings, role="reconcile") as publisher:
        repairer = Repairer(store, publisher, actor=getpass.getuser(), clock=lambda: datetime.now(UTC))
        return repairer.repair(runs)


def _end(settings: Settings, fan_ins: Sequence[StuckFanIn]) -> Ended:
    with EventStore(settings.database_url.get_secret_value(), connections=1, name="reconcile") as store:
        return end_fan_ins(store, fan_ins, actor=getpass.getuser(), at=datetime.now(UTC))


def _is_well(found: Found, repaired: Repaired | None) -> bool:
    if repaired is None:
        return not (found.nowhere or found.shortfalls)
    return not (found.shortfalls or repaired.unknown or repaired.refused)


def _print(found: Found, repaired: Repaired | None) -> None:
    for standing, runs in found.standings.items():
        if runs and standing is not Standing.NOWHERE:
            click.echo(f"{len(runs):>8,} open, {_SPOKEN[standing]}")
    click.echo(f"{len(found.nowhere):>8,} {'run is' if len(found.nowhere) == 1 else 'runs are'} nowhere")
    for (seen, task), count in Counter((run.tier.queue, run.task) for run in found.nowhere).most_common():
        click.echo(f"           {count:,} of {task}, {seen}")
    for run in found.nowhere[:NAMED_AT_MOST]:
        click.echo(f"  {run.run_id}  {run.task} #{run.attempt}, {_last(run)}")
    if len(found.nowhere) > NAMED_AT_MOST:
        click.echo(f"  … and {len(found.nowhere) - NAMED_AT_MOST:,} more; --json names all")
    for place, expected, held in found.shortfalls:
        click.echo(
            f"{place} should hold {expected:,} of the runs that wait and holds {held:,} messages: "
            f"at least {expected - held:,} are missing; --read tells which"
        )
    if repaired is not None:
        _print_repair(repaired)


def _print_repair(repaired: Repaired) -> None:
    click.echo(f"{len(repaired.published):>8,} published again")
    if repaired.moved:
        click.echo(f"{len(repaired.moved):>8,} moved meanwhile and were left alone")
    for run in repaired.unknown:
        click.echo(f"  {run.run_id} cannot be published: nobody requested it of us, so the log has no arguments")
    for run, reason in repaired.refused:
        click.echo(f"  {run.run_id} was not taken by the broker: {reason}")


def _last(run: OpenRun) -> str:
    return f"last seen {run.last_seen()} ({run.last} recorded {run.since:%Y-%m-%d %H:%M:%S} UTC)"


def _values(found: Found, repaired: Repaired | None) -> dict[str, Any]:
    """The same as plain values."""
    values: dict[str, Any] = {
        "open": {standing.name.lower(): len(runs) for standing, runs in found.standings.items()},
        "nowhere": [
            {
                "run_id": run.run_id,
                "task": run.task,
                "tier": run.tier.value,
                "attempt": run.attempt,
                "last_event": run.last,
                "last_recorded_at": run.since,
                "last_seen": run.last_seen(),
                "can_be_repaired": run.request_position is not None,
            }
            for run in found.nowhere
        ],
        "shortfalls": [short._asdict() for short in found.shortfalls],
    }
    if repaired is not None:
        values["repaired"] = {
            "published": [run.run_id for run in repaired.published],
            "unknown": [run.run_id for run in repaired.unknown],
            "moved": [run.run_id for run in repaired.moved],
            "refused": {run.run_id: reason for run, reason in repaired.refused},
        }
    return values
