"""Returns: the heartbeats that broke a silence, so that a lapsed session can be asked about the first one it sent.

Whether a session lapsed is told by another log. So these are found without knowing of lapses, from the heartbeats log
alone: a session lapses when log time is more than its patience past its last heartbeat, hence the next heartbeat to be
counted finds log time that far ahead. Each one that finds it more than :data:`SILENCE` ahead is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.aggregate import Event
from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from projections.rows import unnested
from projections.tables import LOG_TIME, SESSION_RETURNS, SESSIONS

SILENCE: Final = timedelta(seconds=90)
"""A gap longer than this is a silence. A session that sends heartbeats less often has every one kept for :data:`KEPT`;
of one with less patience than this, returns from shorter silences are not seen: its latest heartbeat stands in."""
KEPT: Final = timedelta(days=1)
"""Returns of a session that lie this long before its latest one are let go."""


class Heard(NamedTuple):
    """A heartbeat that may count.

    Attributes:
        session_id: whose.
        at: its own time.
        log_time: log time at its place, as far as the batch tells.
    """

    session_id: str
    at: datetime
    log_time: datetime | None


def keep_returns(connection: sa.Connection, heard: list[Heard]) -> None:
    """Keep those of the heartbeats that broke a silence; to be called before they are counted.

    Args:
        connection: in the transaction that will count them.
        heard: the heartbeats that advance their session within the batch, in order.
    """
    if not heard:
        return
    session_ids, moments, log_times = zip(*heard, strict=True)
    values = {"p0": list(session_ids), "p1": list(moments), "p2": list(log_times), "silence": SILENCE}
    if returned := sorted(set(connection.scalars(_KEEPING, values))):
        connection.execute(_LETTING_GO, {"session_ids": returned, "kept": KEPT})


def advances(told: Iterable[Event]) -> list[Heard]:
    """The heartbeats that are newer than every earlier one of their session within ``told``.

    A heartbeat counts when it is newer than the last one that counted. Only these can: whatever the last one before
    ``told`` was, a heartbeat that does not advance its session here would not have counted. Every session that is heard
    of is among them.

    Args:
        told: events of the heartbeats log; others are passed over.

    Raises:
        ValueError: a batch has more sessions than times, or the other way round.
    """
    newest: dict[str, datetime] = {}
    log_time: datetime | None = None
    advanced: list[Heard] = []
    for event in told:
        if isinstance(event, WatermarkPassed):
            log_time = event.timestamp if log_time is None else max(log_time, event.timestamp)
        elif isinstance(event, HeartbeatsReceived):
            for session_id, at in event:
                known = newest.get(session_id)
                if known is None or at > known:
                    newest[session_id] = at
                    advanced.append(Heard(session_id, at, log_time))
    return advanced


def _keeping() -> sa.Executable:
    heard = unnested((SESSIONS.c.session_id, SESSION_RETURNS.c.heartbeat_at, LOG_TIME.c.log_time))
    log_time = sa.func.greatest(heard.c.log_time, sa.select(LOG_TIME.c.log_time).scalar_subquery())
    within = sa.func.lag(heard.c.heartbeat_at).over(partition_by=heard.c.session_id, order_by=heard.c.heartbeat_at)
    counted = (
        sa.select(
            heard.c.session_id,
            heard.c.heartbeat_at,
            sa.func.greatest(heard.c.heartbeat_at, log_time).label("now"),
            sa.func.coalesce(within, SESSIONS.c.last_heartbeat_at).label("before"),
        )
        .select_from(heard.outerjoin(SESSIONS, SESSIONS.c.session_id == heard.c.session_id))
        .where(sa.or_(SESSIONS.c.last_heartbeat_at.is_(None), heard.c.heartbeat_at > SESSIONS.c.last_heartbeat_at))
        .subquery()
    )
    silence = sa.bindparam("silence", type_=sa.Interval())
    found = sa.select(counted.c.session_id, counted.c.heartbeat_at).where(
        sa.or_(counted.c.before.is_(None), counted.c.now - counted.c.before > silence)
    )
    statement = insert(SESSION_RETURNS).from_select(["session_id", "heartbeat_at"], found)
    return statement.on_conflict_do_nothing().returning(SESSION_RETURNS.c.session_id)


_KEEPING: Final = _keeping()
_LETTING_GO: Final = sa.text("""
    delete from read_model.session_returns old
    using (
        select session_id, max(heartbeat_at) as heartbeat_at
        from read_model.session_returns
        where session_id = any(:session_ids)
        group by session_id
    ) latest
    where old.session_id = latest.session_id and old.heartbeat_at < latest.heartbeat_at - :kept
""").bindparams(sa.bindparam("kept", type_=sa.Interval()))
