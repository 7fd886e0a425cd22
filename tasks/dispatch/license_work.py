"""The work of licenses that admit it no longer: their open runs are revoked.

Carried out before the follower's checkpoint moves, in transactions of its own: a license may have more open runs than
a transaction should append. Done again after a crash, it finds what was done. A run that is accepted while this looks
is met by the worker that would begin it: it asks the license itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final
from uuid import uuid5

import structlog

from domain.license import license_stream
from domain.policies import RevokeWork, decide
from domain.ruling import Ruling, Says, standing_of
from domain.run import revocation_requested
from domain.task_run import run_stream
from infra.event_store import EventStore, EventUnreadableError, Log, NewEvent, Recorded
from tasks.dispatch.causes import cause_of

RUNS_AT_ONCE: Final = 1000
"""Revocations appended per transaction."""

log = structlog.get_logger(__name__)


def end_work(store: EventStore, recorded: Recorded, *, at: datetime, runs_at_once: int = RUNS_AT_ONCE) -> Iterator[int]:
    """Revoke what the policies want revoked because of one stored event, a transaction each time it is asked to go on.

    Args:
        store: with the logs.
        recorded: the event.
        at: the present, UTC.
        runs_at_once: revocations per transaction.

    Yields:
        how many runs the transaction asked to be revoked.
    """
    commands = [command for command in decide(recorded.event) if isinstance(command, RevokeWork)]
    for command in commands:
        yield from _end(store, recorded, command, at=at, runs_at_once=runs_at_once)


def _end(
    store: EventStore, recorded: Recorded, command: RevokeWork, *, at: datetime, runs_at_once: int
) -> Iterator[int]:
    ruling = _ruling(store, command.license_id)
    if ruling is None or ruling.says is not Says.REVOKED:
        return
    revoked, after = 0, ""
    while runs := store.open_licensed_runs(command.license_id, after=after, limit=runs_at_once):
        after = runs[-1][0]
        verdicts = store.append_each(Log.TASKS, _revocations(recorded, command, ruling, runs, at=at))
        stored = sum(verdict.outcome == "stored" for verdict in verdicts)
        revoked += stored
        yield stored
    if revoked:
        log.warning("runs of a license revoked", license=command.license_id, runs=revoked, reason=ruling.text)


def _ruling(store: EventStore, license_id: str) -> Ruling | None:
    """What the license says by what is recorded; None where that cannot be read."""
    stream = license_stream(license_id)
    try:
        story = store.load_recorded(Log.LICENSING, [stream]).get(stream, [])
    except EventUnreadableError as error:
        log.warning("a license cannot be read; workers ask it again", license=license_id, reason=str(error))
        return None
    standing = standing_of((each.event, each.event_id) for each in story)
    return standing.recorded() if standing is not None else None


def _revocations(
    recorded: Recorded, command: RevokeWork, ruling: Ruling, runs: Sequence[tuple[str, str]], *, at: datetime
) -> list[NewEvent]:
    metadata = cause_of(recorded, actor=f"policy:{command.purpose}").metadata()
    return [
        NewEvent(
            revocation_requested(
                stream.removeprefix(run_stream("")),
                task=task,
                reason=ruling.text,
                at=at,
                error_type=ruling.error_type,
                decided_by=str(ruling.decided_by),
            ),
            uuid5(recorded.event_id, f"{command.purpose}/{stream}"),
            metadata,
        )
        for stream, task in runs
    ]
