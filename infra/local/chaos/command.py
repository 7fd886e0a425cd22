"""``ledgerq chaos``: servers and processes of its own, killed at random under load; then the four promises checked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import click

from infra.broker.errors import BrokerError
from infra.broker.management import ManagementApi
from infra.database import DatabaseUnreachableError
from infra.local.chaos.field import Field, battlefield
from infra.local.chaos.plan import Plan, plan
from infra.local.chaos.promises import Findings, Ledger
from infra.local.chaos.siege import Siege
from infra.local.errors import LocalServersError
from infra.local.platform import PlatformNotReadyError
from infra.local.progress import Progress
from infra.local.run import STOPPED_BY_PERSON, Stopped, stoppable
from infra.settings import load_settings

CURRENT_SECONDS: Final = 120.0
_LOOK_EVERY_SECONDS: Final = 0.3


class NotSettledError(Exception):
    """Read models did not catch up, or a command of ours failed."""


@click.command()
@click.option("--kills", default=200, show_default=True, type=click.IntRange(min=0), help="How many kills.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same kills and the same load.")
@click.option(
    "--patience",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="How long, after the last kill, nothing may come to its end before it is given up.",
)
@click.option(
    "--keep", is_flag=True, help="Keep logs and data afterwards; after a broken promise they are kept anyway."
)
def command(*, kills: int, seed: int, patience: float, keep: bool) -> None:
    """Kill children, workers, ingest, dispatch, projector, scheduler, connections, broker and database under load.

    Everything runs on private servers that are gone afterwards. Exit status: 0 when the four promises were kept.
    """
    progress = Progress()
    chosen = plan(seed=seed, kills=kills)
    try:
        with stoppable(), battlefield(load_settings().state_dir / "chaos", keep=keep, tell=progress.tell) as field:
            findings = _fight(field, chosen, patience_seconds=patience, tell=progress.tell)
            for line in findings.lines():
                click.echo(line)
            field.is_kept |= not findings.are_kept
            status = 0 if findings.are_kept else 1
    except Stopped:
        status = STOPPED_BY_PERSON
    except (LocalServersError, BrokerError, DatabaseUnreachableError, PlatformNotReadyError, NotSettledError) as error:
        progress.tell(f"ledgerq chaos: {error}")
        status = 1
    finally:
        progress.close()
    sys.exit(status)


def _fight(field: Field, chosen: Plan, *, patience_seconds: float, tell: Callable[[str], None]) -> Findings:
    field.start()
    ledger = Ledger(field.built.sandbox.database_url, field.directory)
    siege = Siege(field.built.supervisor, field.servers, ManagementApi(field.built.settings), tell=tell)
    tell(f"seed {chosen.seed}: {len(chosen.kills)} kills, {len(chosen.wishes)} runs, about {chosen.seconds:.0f} s")
    began = time.monotonic()
    with _load(field, chosen) as load:
        siege.lay(chosen.kills, until=lambda: load.poll() is not None)
    if load.returncode:
        raise NotSettledError(f"the load failed; see {field.built.directory / 'load.log'}")
    killed = ", ".join(f"{victim.value} {count}" for victim, count in siege.killed.most_common())
    tell(f"{siege.killed.total()} kills in {time.monotonic() - began:.0f} s: {killed}")
    cut = _settle(field, siege, ledger, patience_seconds=patience_seconds, tell=tell)
    return _compare(field, ledger, cut=cut, tell=tell)


@contextmanager
def _load(field: Field, chosen: Plan) -> Iterator[subprocess.Popen[bytes]]:
    arguments = (str(chosen.seed), str(len(chosen.kills)), str(field.directory))
    with (field.built.directory / "load.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own module
            (sys.executable, "-m", "infra.local.chaos.load", *arguments),
            env=field.built.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def _settle(
    field: Field, siege: Siege, ledger: Ledger, *, patience_seconds: float, tell: Callable[[str], None]
) -> datetime:
    """Keep everything up until what was accepted by now has ended and no message waits, or nothing moves any more.

    Returns:
        the moment up to which accepted runs count.
    """
    cut = ledger.now()
    began = moved_at = time.monotonic()
    fewest = left = _left(field, ledger, cut)
    while left and time.monotonic() - moved_at < patience_seconds:
        deadline = time.monotonic() + _LOOK_EVERY_SECONDS
        siege.lay((), until=lambda deadline=deadline: time.monotonic() > deadline)  # type: ignore[misc]
        left = _left(field, ledger, cut)
        if left < fewest:
            fewest, moved_at = left, time.monotonic()
    said = f"{left} runs and messages do not move, given up" if left else "everything ended"
    tell(f"{said} {time.monotonic() - began:.1f} s after the last kill")
    if left:
        _say_where(field, tell=tell)
    return cut


def _say_where(field: Field, *, tell: Callable[[str], None]) -> None:
    """While everything is still up: is what does not move nowhere, or does somebody hold it?"""
    for line in field.held():
        tell(line)
    asked = subprocess.run(
        (sys.executable, "-m", "infra.cli", "reconcile"),
        env=field.built.environment,
        check=False,
        capture_output=True,
        text=True,
    )
    for line in (asked.stdout + asked.stderr).splitlines():
        tell(f"reconcile: {line}")


def _left(field: Field, ledger: Ledger, cut: datetime) -> int:
    """How much has not come to its end: runs, messages in queues, facts that are not stored."""
    return len(ledger.open_runs(cut)) + sum(field.waiting().values()) + len(ledger.unstored())


def _compare(field: Field, ledger: Ledger, *, cut: datetime, tell: Callable[[str], None]) -> Findings:
    """Stop everything, bring the read models up to date, rebuild each, and see whether that changes a row."""
    field.built.supervisor.stop()
    with field.projector() as supervisor:
        deadline = time.monotonic() + CURRENT_SECONDS
        while not ledger.are_projections_current():
            if time.monotonic() > deadline:
                raise NotSettledError("the read models did not catch up")
            supervisor.look()
            time.sleep(_LOOK_EVERY_SECONDS)
    before = ledger.digests()
    for projection in ledger.projections():
        rebuilt = subprocess.run(  # noqa: S603  our own command line
            (sys.executable, "-m", "infra.cli", "projection", "rebuild", projection, "--in-place"),
            env=field.built.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if rebuilt.returncode:
            raise NotSettledError(f"projection rebuild {projection}: {rebuilt.stderr.strip()[-300:]}")
    after = ledger.digests()
    tell(f"{len(after)} read models rebuilt and compared")
    return ledger.findings(cut=cut, differing=[name for name, digest in after.items() if before[name] != digest])
