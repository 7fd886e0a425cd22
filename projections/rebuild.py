"""Rebuilding a projection from the log, in one transaction.

Whoever asks sees the old rows until the new ones are all there. The projection's checkpoints are set back first and
stay locked: a runner that is at work waits for them, and when the rebuild commits it goes on from where that stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import sqlalchemy as sa

from infra.event_store import Checkpoint, CheckpointMovedError, EventStore, Log
from projections.counted_skips import forget_counted
from projections.parking import apply_or_park, forget_parked, park, unreadable
from projections.projection import Projection, follower, page_limit
from projections.rows import driver, erase
from projections.skipping import unskipped

_TRIES: Final = 100


class Progress(NamedTuple):
    """How far a rebuild has come in one log."""

    log: Log
    position: int
    until: int


class Rebuilt(NamedTuple):
    """What a rebuild did: how many events it applied, and how many of them it had to park."""

    events: int
    parked: int


def rebuild(
    connection: sa.Connection,
    projection: Projection,
    *,
    store: EventStore,
    batch_events: int,
    tell: Callable[[Progress], None] = lambda _progress: None,
) -> Rebuilt:
    """Empty the tables of ``projection`` and replay its logs up to where they can be read now.

    Args:
        connection: not in a transaction; this makes one.
        projection: the one to rebuild.
        store: where its logs are read.
        batch_events: events per page; memory grows with it and with nothing else.
        tell: called after every page.

    Raises:
        ArchiveMissingError: events were dropped from a log, and their archive is not there. Nothing was done.
        sqlalchemy.exc.DBAPIError, psycopg.Error: the database is away; everything is as it was before.
    """
    for log in projection.follows:
        store.check_archives(log, after=0)
    with connection.begin():
        for log in projection.follows:
            _take_checkpoint(connection, projection, log)
        erase(connection, projection.tables)
        forget_parked(connection, projection.name)
        forget_counted(driver(connection), follower(projection.name))
        replayed = [
            _replay(connection, projection, log, store=store, batch_events=batch_events, tell=tell)
            for log in projection.follows
        ]
    return Rebuilt(sum(log.events for log in replayed), sum(log.parked for log in replayed))


def _take_checkpoint(connection: sa.Connection, projection: Projection, log: Log) -> None:
    """Set the checkpoint back to the beginning and keep it locked; a runner at work may get in between a few times."""
    name = follower(projection.name)
    for _ in range(_TRIES):
        position = Checkpoint.read(driver(connection), name, log)
        try:
            with connection.begin_nested():
                Checkpoint.advance(driver(connection), name, log, expected=position, to=0)
        except CheckpointMovedError:
            continue
        return
    raise TimeoutError(f"the checkpoint of {projection.name} kept moving; is its log written to at an extreme rate?")


def _replay(
    connection: sa.Connection,
    projection: Projection,
    log: Log,
    *,
    store: EventStore,
    batch_events: int,
    tell: Callable[[Progress], None],
) -> Rebuilt:
    until = store.safe_position(log)
    position = events = parked_events = 0
    while position < until:
        page = store.read(log, after=position, limit=page_limit(log, batch_events), names=projection.follows[log])
        if page.position == position:
            break
        page = unskipped(connection, log, page)
        parked = apply_or_park(connection, projection, page.events)
        parked += [unreadable(found) for found in page.unreadable]
        park(connection, projection.name, log, parked)
        position = page.position
        events += len(page.events)
        parked_events += len(parked)
        tell(Progress(log, position, until))
    Checkpoint.advance(driver(connection), follower(projection.name), log, expected=0, to=position)
    return Rebuilt(events, parked_events)
