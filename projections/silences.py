"""Silences that have to be judged: of sessions that may have lapsed, or come back, since somebody looked last."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from domain.blindness import BlindWindow
from domain.license_policy import Resurrection
from domain.session import Silence
from projections.blindness import LONGEST_SILENCE

_SILENT: Final = (
    Path(__file__)
    .with_name("silences.sql")
    .read_text(encoding="utf-8")
    .format(
        still_silent=LONGEST_SILENCE.format(since="sign_at", until="log_time", windows="read_model.blind_windows"),
        was_silent=LONGEST_SILENCE.format(
            since="greatest(s.since_at, r.last_heartbeat_at, r.heard_at)",
            until="r.log_time",
            windows="read_model.blind_windows",
        ),
    )
)
_WINDOWS: Final = "select since_at, until_at from read_model.blind_windows order by since_at"
_WAYS_BACK: Final = {
    each.value: timedelta(days=365_000) if each.window is None else each.window
    for each in Resurrection
    if each is not Resurrection.NEVER
}


class SilentSession(NamedTuple):
    """A session whose silences are to be judged.

    Attributes:
        session_id: the session.
        silences: in order; the last one goes on.
    """

    session_id: str
    silences: tuple[Silence, ...]


class _Row(NamedTuple):
    session_id: str
    log_time: datetime
    last_heartbeat_at: datetime | None
    last_heard_at: datetime | None
    back_at: list[datetime | None] | None
    before: list[datetime | None] | None
    heard: list[datetime | None] | None
    log_times: list[datetime] | None


def silent_sessions(connection: psycopg.Connection[Any], *, limit: int) -> list[SilentSession]:
    """Sessions that may have lapsed, or may come back from a lapse, the longest silent first; at most ``limit``.

    A heartbeat proves life when it is recorded, too: a session whose clock is behind is not silent while they come. It
    is the first heartbeat after a lapse that counts, however many have come since; a session whose first one came too
    late will never resume, and is not suggested.
    """
    asked = {"limit": limit, "ways_back": list(_WAYS_BACK), "windows": list(_WAYS_BACK.values())}
    with connection.cursor(row_factory=class_row(_Row)) as cursor:
        return [_silent(row) for row in cursor.execute(_SILENT.encode(), asked)]


def blind_windows(connection: psycopg.Connection[Any]) -> list[BlindWindow]:
    """The stretches of log time in which nobody's silence counts; asked after the silences that are judged by them."""
    return [BlindWindow(*window) for window in connection.execute(_WINDOWS).fetchall()]


def _silent(row: _Row) -> SilentSession:
    columns = (row.log_times or (), row.before or (), row.heard or (), row.back_at or ())
    broken = [Silence(*silence) for silence in zip(*columns, strict=True)]
    present = Silence(row.log_time, row.last_heartbeat_at, row.last_heard_at)
    return SilentSession(row.session_id, (*broken, present))
