"""Keeping: what the scheduler's leader does for retention, beside firing and sealing."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final, Self

import psycopg
import structlog

from infra.database import DatabaseUnreachableError, Leadership, connect
from infra.database.errors import database_faults
from infra.event_store.payloads import DROPPED_AT_ONCE, drop_payloads
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from infra.metrics.metric import Metric
from infra.retention.dropping import Dropped
from infra.retention.parts import make_months
from infra.settings import Settings
from tasks.retention.retaining import LEADERSHIP, RetentionRefusedError, Told, retain

ACTOR: Final = "scheduler"
MONTHS_EVERY: Final = timedelta(hours=1)
TRY_AGAIN: Final = timedelta(minutes=1)

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)


class Keeping:
    """Makes months ahead and, where it is switched on, archives and drops old ones in a thread of its own.

    Use it as a context manager, in the one process that leads.
    """

    def __init__(self, settings: Settings, *, instruments: Instruments | None = None) -> None:
        self._settings = settings
        self._instruments = instruments
        self._next_look: datetime | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="retention", daemon=True)

    def __enter__(self) -> Self:
        if self._settings.retention_interval_seconds is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self, now: datetime) -> None:
        """See that there are months for the heartbeats to come, and drop results whose time is up; once an hour.

        Of results a part is dropped at a time: where more are left, the next step goes on.

        Raises:
            DatabaseUnreachableError: the database is away.
        """
        if self._next_look is not None and now < self._next_look:
            return
        self._next_look = now + MONTHS_EVERY
        with connect(self._settings, name="months") as connection, database_faults(connection):
            try:
                kept_for = timedelta(seconds=self._settings.result_retention_seconds)
                if drop_payloads(connection, kept_for=kept_for) == DROPPED_AT_ONCE:
                    self._next_look = now
                made = make_months(connection, now=now)
            except psycopg.errors.LockNotAvailable:
                self._next_look = now + TRY_AGAIN
                _LOG.warning("made no month: the log of heartbeats is in use by a long transaction; trying again")
                return
        if made:
            _LOG.info("made months of the log of heartbeats", months=made)
            self._count(catalog.MONTHS_MADE, made)

    def _keep(self) -> None:
        interval = self._settings.retention_interval_seconds
        while not self._over.is_set():
            try:
                self._round()
            except _InterruptedError:
                return
            except RetentionRefusedError as error:
                _LOG.error("not dropped", reason=str(error))
                self._count(catalog.RETENTION_FAILURES)
            except (DatabaseUnreachableError, psycopg.Error) as error:
                _LOG.warning("nothing was archived or dropped: the database is away", reason=str(error))
                self._count(catalog.RETENTION_FAILURES)
            except Exception:  # noqa: BLE001  whatever it is, the scheduler goes on firing and sealing
                _LOG.exception("nothing was archived or dropped")
                self._count(catalog.RETENTION_FAILURES)
            self._over.wait(interval)

    def _round(self) -> None:
        with (
            Leadership(self._settings, LEADERSHIP) as leadership,
            connect(self._settings, name="retention") as connection,
        ):
            if leadership.acquire():
                retain(connection, self._settings, by=ACTOR, tell=self._tell, watch=self._watch)

    def _watch(self) -> None:
        if self._over.is_set():
            raise _InterruptedError

    def _tell(self, what: Told) -> None:
        if isinstance(what, Dropped):
            _LOG.info("dropped", part=what.part, events=what.events)
            self._count(catalog.DROPPED_EVENTS, what.events)
        else:
            _LOG.info("archived", file=what.path.name, events=what.events, size_bytes=what.size_bytes)
            self._count(catalog.ARCHIVED_EVENTS, what.events)

    def _count(self, metric: Metric, many: int = 1) -> None:
        if self._instruments is not None:
            self._instruments.counter(metric).inc(many)


class _InterruptedError(Exception):
    """The process is to stop, or leads no longer."""
