"""Where a follower stands in a log."""

from __future__ import annotations

from typing import Final

import psycopg

from infra.event_store import Checkpoint, Log, Transaction

FAR: Final = 10_000
"""Positions that are looked at again after a crash, at most, where nothing came of them."""


class Place:
    """How far a follower has looked at a log, and how far it has said so in the store.

    What a follower does about events is stored together with its checkpoint, so a checkpoint that lags behind only
    because nothing had to be done costs nothing but a second look: such steps are written down now and then.

    Attributes:
        position: everything up to here has been looked at and dealt with.
    """

    def __init__(self, follower: str, log: Log) -> None:
        self.follower = follower
        self.log = log
        self.position = 0
        self._stored = 0

    @property
    def is_ahead(self) -> bool:
        """Whether the store does not know yet how far this is."""
        return self.position > self._stored

    def is_far_behind(self, position: int) -> bool:
        """Whether what the store knows is so far behind a position that it is worth a commit of its own."""
        return position - self._stored > FAR

    def load(self, connection: psycopg.Connection) -> None:
        """Stand where the store says."""
        self.position = self._stored = Checkpoint.read(connection, self.follower, self.log)

    def store(self, transaction: Transaction, *, to: int) -> None:
        """Write down ``to`` as part of ``transaction``; call :meth:`stored` once that is committed.

        Raises:
            CheckpointMovedError: another process follows under this name; this one has to begin anew.
        """
        Checkpoint.advance(transaction.connection, self.follower, self.log, expected=self._stored, to=to)

    def stored(self, to: int) -> None:
        """``to`` has been committed."""
        self.position = self._stored = to
