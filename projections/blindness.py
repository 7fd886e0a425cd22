"""Blind windows: when did nobody look, for how long, and what was away?

They belong to the sessions projection, for they have to be known together with the log time that they end at; whoever
asked in between would take for silence what nobody could break.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.blindness import BlindWindowPassed
from infra.event_store import Recorded
from projections.tables import BLIND_WINDOWS

EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the begin of a window of which it is not known."""

LONGEST_SILENCE: Final = """(
    select coalesce(max(extract(epoch from least(coalesce(next.since_at, {until}), {until}) - began.at)), 0)
    from (
        select {since} as at
        union all
        select until_at from {windows} where until_at > {since} and until_at <= {until}
    ) began
    left join lateral (
        select min(since_at) as since_at from {windows} where since_at > began.at and until_at <= {until}
    ) next on true
    where began.at < {until} and not exists (
        select from {windows}
        where since_at <= began.at and until_at > began.at and (until_at <= {until} or since_at = 'epoch')
    )
)"""
"""SQL: the seconds of the longest stretch from ``since`` to ``until`` that no blind window interrupts; 0 where either
is not known. Somebody's patience was over just where it is longer (:func:`domain.blindness.patience_over`). Windows
that end after ``until`` do not count: they were recorded later, and began after it, but for one without a begin."""


def record_windows(connection: sa.Connection, told: Sequence[Recorded]) -> datetime | None:
    """Remember the windows among ``told``; of those with one begin the one that ends last counts.

    Returns:
        the end of a window without a begin, if there is one: silences of before are none.
    """
    windows: list[dict[str, Any]] = [
        {
            "since_at": each.event.since or EVER,
            "until_at": each.event.timestamp,
            "away": ", ".join(away.value for away in each.event.away),
            "recorded_at": each.recorded_at,
        }
        for each in told
        if isinstance(each.event, BlindWindowPassed)
    ]
    for window in windows:
        statement = insert(BLIND_WINDOWS).values(**window)
        is_later = statement.excluded.until_at > BLIND_WINDOWS.c.until_at
        changed = {name: statement.excluded[name] for name in ("until_at", "away", "recorded_at")}
        connection.execute(statement.on_conflict_do_update(index_elements=["since_at"], set_=changed, where=is_later))
    return max((window["until_at"] for window in windows if window["since_at"] == EVER), default=None)
