"""How far read models are behind the logs, whether anything reaches those at all, and waiting for one's own writes."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

import psycopg

from infra.event_store import Checkpoint, Log
from projections.projection import Projection, follower
from projections.questions import LAG
from projections.report import Answer, ask

MISSED_MARKERS: Final = 3
"""Ingest's marker reaches the log of heartbeats at an interval, whatever else happens. When it has been missing for so
many intervals, nothing reaches any log: ingest is down or behind, or the broker or the database is away."""
_SHORTEST_PAUSE_SECONDS: Final = 0.002
_LONGEST_PAUSE_SECONDS: Final = 0.05


class StillBehindError(Exception):
    """A projection has not come to the position within the time; the text says how far it is."""


def lag(connection: psycopg.Connection[Any], *, marker_interval: timedelta) -> Answer:
    """One row per projection and log: how far behind in events and seconds, and whether its source stands still.

    A projection that has done everything there is has no lag, also where nothing comes in any more. So the source is
    judged by ingest's own marker and not by how often this or that happens.

    Args:
        connection: in autocommit.
        marker_interval: how often ingest sends itself the marker.
    """
    rows = ask(connection, LAG)
    heard = [row["log_silent_for_seconds"] for row in rows if row["log"] == Log.HEARTBEATS.value]
    longest = MISSED_MARKERS * marker_interval.total_seconds()
    stands_still = not heard or heard[0] is None or heard[0] > longest
    return [{**row, "source": "stands still" if stands_still else "moves"} for row in rows]


def wait_for(
    connection: psycopg.Connection[Any], projection: Projection, log: Log, position: int, *, within: timedelta
) -> None:
    """Return once ``projection`` has passed ``position``: whoever asks its tables then sees what was appended there.

    Args:
        connection: in autocommit; each look has to see what is committed by then.
        projection: the one whose tables are going to be asked.
        log: one that it follows.
        position: as appending returned it.
        within: how long to wait.

    Raises:
        ValueError: the projection does not follow the log.
        StillBehindError: it has not come there in time.
    """
    if log not in projection.follows:
        followed = ", ".join(each.value for each in projection.follows)
        raise ValueError(f"{projection.name} does not follow {log.value}; it follows {followed}")
    deadline = time.monotonic() + within.total_seconds()
    pause = _SHORTEST_PAUSE_SECONDS
    while (reached := Checkpoint.read(connection, follower(projection.name), log)) < position:
        if time.monotonic() > deadline:
            raise StillBehindError(
                f"{projection.name} is at {reached:,} of {log.value} and not yet at {position:,}, "
                f"after {within.total_seconds():g} s"
            )
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
