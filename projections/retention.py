"""What is asked before old heartbeats are dropped: who has yet to read them, and whose they are that are not over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from infra.event_store import Log
from projections.projection import FOLLOWER_PREFIX

SHOWN_SESSIONS: Final = 3
LONGEST_WINDOW: Final = timedelta(days=1)
"""Longer than any in which a lapsed session may resume, but for those that always may."""

_KEEPING: Final = """
    with keeping as (
        select s.session_id, s.started_at
        from read_model.sessions s
        where s.started_at < %(before)s
            and (s.state = 'active' or s.state = 'lapsed' and (
                s.on_lapse = 'keep' or s.resurrection = 'always'
                -- The time to resume begins anew where a blind window ends.
                or greatest(s.patience_over_at, (select max(until_at) from read_model.blind_windows)) + %(longest)s
                    >= coalesce((select log_time from read_model.log_time), '-infinity')))
    )
    select (select count(*) from keeping),
           array(select session_id from keeping order by started_at, session_id limit %(shown)s)
"""
_BEHIND: Final = """
    select follower from event_store.checkpoints where log = %(log)s and position < %(position)s
    union
    select %(prefix)s || projection from read_model.followed_logs
    where log = %(log)s and not exists (
        select from event_store.checkpoints c where c.follower = %(prefix)s || projection and c.log = %(log)s
    )
    order by 1
"""


class KeepingSessions(NamedTuple):
    """Sessions that keep old heartbeats: they are open, or lapsed and may still resume.

    Attributes:
        total: how many.
        first: ids of those that started first, at most :data:`SHOWN_SESSIONS`.
    """

    total: int
    first: list[str]


def keeping_sessions(connection: psycopg.Connection[Any], *, before: datetime) -> KeepingSessions:
    """The sessions that started before a moment and are not over.

    Args:
        connection: to the read models, once they have come to where the log of sessions stands.
        before: the moment.
    """
    values = {"before": before, "longest": LONGEST_WINDOW, "shown": SHOWN_SESSIONS}
    ((total, first),) = connection.execute(_KEEPING, values).fetchall()
    return KeepingSessions(int(total), list(first))


def followers_behind(connection: psycopg.Connection[Any], log: Log, *, position: int) -> list[str]:
    """Who follows a log and has yet to come to a position, by name."""
    values = {"log": log.value, "position": position, "prefix": FOLLOWER_PREFIX}
    return [str(name) for (name,) in connection.execute(_BEHIND, values).fetchall()]
