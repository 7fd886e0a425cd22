"""Checkpoints: how far a follower of a log has done its work."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from infra.event_store.log import Log

_READ: Final = "select position from event_store.checkpoints where follower = %s and log = %s"
_BEGIN: Final = """
    insert into event_store.checkpoints (follower, log, position) values (%s, %s, %s) on conflict do nothing
"""
_HOLD: Final = """
    insert into event_store.checkpoints (follower, log, position) values (%s, %s, 0)
    on conflict (follower, log) do update set position = checkpoints.position
    returning position
"""
_MOVE: Final = """
    update event_store.checkpoints set position = %s, updated_at = clock_timestamp()
    where follower = %s and log = %s and position = %s
"""


class CheckpointMovedError(Exception):
    """Somebody else moved the checkpoint: what was done in this transaction must not be kept."""


class Checkpoint:
    """Reads and moves checkpoints in the caller's transaction, so that the work and its checkpoint commit together."""

    @staticmethod
    def read(connection: psycopg.Connection[Any], follower: str, log: Log) -> int:
        """The position up to which ``follower`` has done its work; 0 where it has not begun."""
        row = connection.execute(_READ, (follower, log.value)).fetchone()
        if row is None:
            return 0
        return int(row["position"] if isinstance(row, dict) else row[0])

    @staticmethod
    def hold(connection: psycopg.Connection[Any], follower: str, log: Log) -> int:
        """Keep the checkpoint where it stands until the caller's transaction ends: whoever wants to move it waits."""
        ((position,),) = connection.execute(_HOLD, (follower, log.value)).fetchall()
        return int(position)

    @staticmethod
    def advance(connection: psycopg.Connection[Any], follower: str, log: Log, *, expected: int, to: int) -> None:
        """Move from ``expected`` to ``to``: a compare-and-set, which also keeps two runners apart.

        Raises:
            CheckpointMovedError: it was not at ``expected``.
        """
        moved = 0
        if expected == 0:
            moved = connection.execute(_BEGIN, (follower, log.value, to)).rowcount
        if not moved:
            moved = connection.execute(_MOVE, (to, follower, log.value, expected)).rowcount
        if moved != 1:
            raise CheckpointMovedError(f"{follower} on {log.value} is no longer at {expected}")
