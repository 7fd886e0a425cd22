"""Reading how far log time has come, from the log itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from infra.event_store.mapper import SCHEMA_VERSION

_LAST: Final = f"""
    select occurred_at, coalesce((metadata ->> '{SCHEMA_VERSION}')::int, 1) > 1, position
    from event_store.heartbeat_events
    where name = 'ingest.watermark_passed' order by position desc limit 1
"""  # noqa: S608  a constant


class Watermark(NamedTuple):
    """How far log time has come.

    Attributes:
        at: everything sent before has been stored.
        is_watched: whether jumps up to there are told as blind windows; not by versions that knew of none.
        position: its place in the log of heartbeats.
    """

    at: datetime
    is_watched: bool
    position: int


def last_watermark(connection: Connection[Any]) -> Watermark | None:
    """The watermark recorded last; None where ingest has not recorded any."""
    row = connection.execute(_LAST.encode()).fetchone()
    return None if row is None else Watermark(*row)


def log_time(connection: Connection[Any]) -> datetime | None:
    """Everything sent before it has been stored; None where ingest has not said so yet."""
    watermark = last_watermark(connection)
    return watermark.at if watermark else None
