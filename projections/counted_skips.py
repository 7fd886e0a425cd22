"""Skips that came too late: events that a set of tables has counted and that are skipped since.

Live tables and drafts are told apart by the name of the follower whose checkpoints they go by. Everything happens in
the caller's transaction, which holds those checkpoints where it writes.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

_NOTE: Final = "insert into read_model_draft.counted_skips values (%s, %s, %s, %s) on conflict do nothing"
_FIND: Final = """
    select log, position, event_name from read_model_draft.counted_skips where follower = %s order by log, position
"""
_FORGET: Final = "delete from read_model_draft.counted_skips where follower = %s"
_HAND_OVER: Final = "update read_model_draft.counted_skips set follower = %s where follower = %s"


class CountedSkip(NamedTuple):
    """A skipped event that is counted nevertheless: its log, its position there, its stored name."""

    log: str
    position: int
    event_name: str

    def __str__(self) -> str:
        return f"{self.event_name} at {self.position:,} of {self.log}"


def note_counted(connection: psycopg.Connection[Any], follower: str, skip: CountedSkip) -> None:
    """Remember that the follower's tables have counted the event."""
    connection.execute(_NOTE, (follower, *skip))


def counted_skips(connection: psycopg.Connection[Any], follower: str) -> list[CountedSkip]:
    """What the follower's tables count although it is skipped, in order of log and position."""
    with connection.cursor(row_factory=class_row(CountedSkip)) as cursor:
        return cursor.execute(_FIND, (follower,)).fetchall()


def forget_counted(connection: psycopg.Connection[Any], follower: str) -> None:
    """The follower's tables are empty and begin again: they count nothing that is skipped."""
    connection.execute(_FORGET, (follower,))


def hand_over_counted(connection: psycopg.Connection[Any], *, giver: str, taker: str) -> None:
    """The rows of one follower are now those of another, which counted nothing that is skipped."""
    connection.execute(_HAND_OVER, (taker, giver))
