"""How long it takes to drop a month of heartbeats, beside deleting its rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from psycopg import Connection
from psycopg.sql import SQL

from domain.cause import Cause
from domain.heartbeat import WatermarkPassed
from infra.database import connect
from infra.event_store import EventStore, Log, caused
from infra.events.sealing import seal_all
from infra.events.seals import SealTable
from infra.retention.dropping import drop
from infra.retention.leaves import keep_leaves
from infra.retention.parts import Part, parts
from infra.retention.shelf import shelve
from infra.settings import Settings

HEARTBEATS_EACH: Final = 500
"""Heartbeats in one event: what ingest stores of a busy fleet."""
_DROPPED: Final = date(2020, 1, 1)
_DELETED: Final = date(2020, 2, 1)

_MAKE: Final = "select event_store.make_heartbeat_month(%s)"
_FILL: Final = """
    insert into event_store.heartbeat_events (version, occurred_at, event_id, stream_id, name, data)
    select 1, day, gen_random_uuid(),
           event_store.heartbeat_month_bound(day) || '-7000-8000-' || lpad(to_hex(n), 12, '0'),
           'session.heartbeats_received', jsonb_build_object('session_ids', session_ids, 'offsets_ms', offsets)
    from generate_series(1, %(events)s) n
    cross join lateral (select (%(month)s::date + n %% 28)::date as day) days
    cross join lateral (
        select jsonb_agg('019ac2f1-8c00-7000-8000-' || lpad(to_hex(n * each), 12, '0')) as session_ids,
               jsonb_agg(each * 113 %% 60000) as offsets
        from generate_series(1, %(each)s) each
    ) batch
"""


class RetentionBench:
    """Measures in a migrated database that nothing else uses.

    Args:
        settings: of that database.
        directory: where the archives go.
        tell: called with a line for each step.
    """

    def __init__(self, settings: Settings, directory: Path, *, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._directory = directory
        self._tell = tell

    def measure(self, *, heartbeats: int) -> dict[str, float]:
        """Seconds to archive a month of so many heartbeats, to drop it, and to delete the rows of another one."""
        figures: dict[str, float] = {"retention_month_heartbeats": float(heartbeats)}
        with connect(self._settings, name="bench") as connection:
            dropped, deleted = (self._filled(connection, month, heartbeats) for month in (_DROPPED, _DELETED))
            with self._timed(figures, "archive_month_seconds"):
                self._archive(connection, dropped)
            with self._timed(figures, "drop_month_seconds"):
                drop(connection, Log.HEARTBEATS, dropped, by="bench")
            with self._timed(figures, "delete_month_seconds"), connection.transaction():
                connection.execute("set local ledgerq.maintenance = on")
                connection.execute(SQL("delete from {}").format(deleted.table))
        return figures

    def _filled(self, connection: Connection[Any], month: date, heartbeats: int) -> Part:
        """A month that is full, and sealed with what came after it."""
        connection.execute(_MAKE, (month,))
        values = {"month": month, "events": heartbeats // HEARTBEATS_EACH, "each": HEARTBEATS_EACH}
        connection.execute(_FILL, values)
        with EventStore(self._settings.database_url.get_secret_value(), name="bench") as store:
            passed = WatermarkPassed.at(datetime.now(UTC), marker_id=uuid4())
            store.append(Log.HEARTBEATS, caused([passed], Cause(id=uuid4(), at=passed.timestamp, actor="/bench")))
        list(seal_all(SealTable(connection), Log.HEARTBEATS, now=datetime.now(UTC), key=None))
        return next(part for part in parts(connection) if part.name == f"{month:%Y_%m}")

    def _archive(self, connection: Connection[Any], part: Part) -> None:
        self._directory.mkdir(exist_ok=True)
        upto = part.last_position or 0
        for shelved in shelve(connection, Log.HEARTBEATS, upto=upto, directory=self._directory):
            self._tell(f"  {shelved.path.name}: {shelved.events} events, {shelved.size_bytes / 1e6:.1f} MB")
        keep_leaves(connection, Log.HEARTBEATS, part)

    @contextmanager
    def _timed(self, figures: dict[str, float], name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        figures[name] = time.monotonic() - began
        self._tell(f"  {name} {figures[name]:.3f}")
