"""Decisions that came too late: what a set of tables has counted and is skipped since, or passed over and is not.

Live tables and drafts are told apart by the name of the follower whose checkpoints they go by. Everything happens in
the caller's transaction, which holds those checkpoints where it writes.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

_NOTE: Final = "insert into read_model_draft.counted_skips values (%s, %s, %s, %s, %s) on conflict do nothing"
_SETTLE: Final = """
    delete from read_model_draft.counted_skips where follower = %s and log = %s and position = %s and is_missing = %s
"""
_FIND: Final = """
    select log, position, event_name, is_missing from read_model_draft.counted_skips
    where follower = %s order by log, position
"""
_FORGET: Final = "delete from read_model_draft.counted_skips where follower = %s"
_HAND_OVER: Final = "update read_model_draft.counted_skips set follower = %s where follower = %s"


class CountedSkip(NamedTuple):
    """An event that is counted although it is skipped, or is not although it no longer is.

    Attributes:
        log: its log.
        position: its position there.
        event_name: its stored name.
        is_missing: whether it is the latter.
    """

    log: str
    position: int
    event_name: str
    is_missing: bool = False

    def __str__(self) -> str:
        place = f"{self.event_name} at {self.position:,} of {self.log}"
        return f"lacks {place}, no longer skipped" if self.is_missing else f"counts {place}, skipped"


def note_counted(connection: psycopg.Connection[Any], follower: str, skip: CountedSkip) -> bool:
    """Remember what is wrong with the follower's tables now; or forget what was wrong until now, and is right again.

    Returns:
        Whether something is wrong.
    """
    settled = connection.execute(_SETTLE, (follower, skip.log, skip.position, not skip.is_missing)).rowcount
    if not settled:
        connection.execute(_NOTE, (follower, *skip))
    return not settled


def counted_skips(connection: psycopg.Connection[Any], follower: str) -> list[CountedSkip]:
    """What the follower's tables count although it is skipped, or lack; in order of log and position."""
    with connection.cursor(row_factory=class_row(CountedSkip)) as cursor:
        return cursor.execute(_FIND, (follower,)).fetchall()


def forget_counted(connection: psycopg.Connection[Any], follower: str) -> None:
    """The follower's tables are empty and begin again: nothing is wrong with them."""
    connection.execute(_FORGET, (follower,))


def hand_over_counted(connection: psycopg.Connection[Any], *, giver: str, taker: str) -> None:
    """The rows of one follower are now those of another, with which nothing was wrong."""
    connection.execute(_HAND_OVER, (taker, giver))
