"""What was heard of one session: its heartbeats, looked for where they can be, for no index says whose they are.

A batch holds the heartbeats of many sessions. So the time of a session's life is turned into a stretch of the log, by
halving, and its batches are looked at, a bounded part of them in each statement. That costs what all sessions together
were heard of in that time, and nothing of the years before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg.rows import args_row

from domain.heartbeat import Heartbeat, HeartbeatsReceived
from infra.event_store import Log, skipped_positions
from infra.event_store.log_table import Found
from infra.event_store.mapper import EventMapper
from infra.event_store.transaction import recorded
from infra.events.reading import CLOCK_MARGIN, LogReader
from infra.moments import shifted

BATCHES: Final = 2_000
"""Positions that one statement looks at, at most; each may be a batch of some ten kilobytes."""
_BATCHES_OF: Final = f"""
    select position, stream_id, version, name, data::text, metadata::text, event_id, occurred_at, recorded_at
    from event_store.heartbeat_events
    where position > %(after)s and position <= %(upto)s and name = '{HeartbeatsReceived.TOPIC}'
        and recorded_at >= %(since)s and recorded_at <= coalesce(%(until)s::timestamptz, 'infinity')
        and occurred_at <= coalesce(%(upto_time)s::timestamptz, 'infinity')
        and data @> jsonb_build_object('session_ids', jsonb_build_array(%(session_id)s::text))
    order by position
"""  # noqa: S608  constants
_NEXT: Final = "select min(position) from event_store.heartbeat_events where position > %s and position <= %s"
_DROPPED: Final = f"""
    select exists (
        select from event_store.drops
        where log = '{Log.HEARTBEATS.value}' and first_position <= %(upto)s and last_position > %(after)s
    )
"""  # noqa: S608
_MAPPER: Final = EventMapper()


class Span(NamedTuple):
    """When something was recorded, both ends included; ``until`` None: up to the end of the log."""

    since: datetime
    until: datetime | None


class Heard(NamedTuple):
    """What heartbeats tell of a session.

    Attributes:
        news: how many were newer than all of the session that the log has before them.
        last_at: the time of the newest; None: none was heard.
    """

    news: int = 0
    last_at: datetime | None = None

    def and_then(self, heartbeat: Heartbeat) -> Heard:
        """With one more, which comes later in the log; an older one is no news."""
        is_news = self.last_at is None or heartbeat.at > self.last_at
        return Heard(self.news + 1, heartbeat.at) if is_news else self


def heard(
    connection: Connection[Any],
    session_id: str,
    span: Span,
    *,
    upto: datetime | None = None,
    known_by: datetime | None = None,
) -> Heard | None:
    """The heartbeats of a session that were recorded within a span and not skipped.

    None where some that were recorded then have been dropped from the log: what is left would be too few.

    Args:
        connection: of the caller's, in read committed.
        session_id: what services call it.
        span: when they were recorded.
        upto: heartbeats that bear a later time do not count; None: all do.
        known_by: skips recorded later are not known yet; None: all are.

    Raises:
        EventUnreadableError: a newer version of the code wrote one of the batches.
    """
    found, stretch = Heard(), _stretch(connection, span)
    for batch in _batches(connection, session_id, span, stretch, upto=upto, known_by=known_by):
        for heartbeat in batch:
            if heartbeat.session_id == session_id and (upto is None or heartbeat.at <= upto):
                found = found.and_then(heartbeat)
    # Asked last, so that what is dropped meanwhile is noticed.
    ((is_dropped,),) = connection.execute(_DROPPED.encode(), {"after": stretch[0], "upto": stretch[1]}).fetchall()
    return None if is_dropped else found


def _batches(
    connection: Connection[Any],
    session_id: str,
    span: Span,
    stretch: tuple[int, int],
    *,
    upto: datetime | None,
    known_by: datetime | None,
) -> Iterator[HeartbeatsReceived]:
    """The batches that may have one of the session, in order of position."""
    position, end = stretch
    values = {"since": span.since, "until": span.until, "upto_time": upto, "session_id": session_id}
    while position < end:
        following = min(end, position + BATCHES)
        with connection.cursor(binary=True, row_factory=args_row(Found)) as cursor:
            rows = cursor.execute(_BATCHES_OF.encode(), {**values, "after": position, "upto": following}).fetchall()
        if rows:
            first, last = rows[0].position, rows[-1].position
            skipped = skipped_positions(connection, Log.HEARTBEATS, first=first, last=last, known_by=known_by)
            yield from (_batch(row) for row in rows if row.position not in skipped)
        else:  # there may be a hole that is larger than what one statement looks at
            ((beyond,),) = connection.execute(_NEXT.encode(), (following, end)).fetchall()
            following = end if beyond is None else beyond - 1
        position = following


def _stretch(connection: Connection[Any], span: Span) -> tuple[int, int]:
    """The position after which, and the one up to which, everything is that was recorded within the span."""
    reader = LogReader(connection)
    safe = reader.safe_position(Log.HEARTBEATS)
    after = reader.position_before(Log.HEARTBEATS, span.since, upto=safe)
    if span.until is None:
        return after, safe
    # Halving may be off by a margin, and so may the order in which events bear their times.
    return after, reader.position_before(Log.HEARTBEATS, shifted(span.until, 3 * CLOCK_MARGIN), upto=safe)


def _batch(row: Found) -> HeartbeatsReceived:
    event = recorded(_MAPPER, row).event
    if not isinstance(event, HeartbeatsReceived):
        raise TypeError(f"{row.name} is no batch of heartbeats")
    return event
