"""A thread that writes down in the database what the loop of its process said last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
import structlog

from infra.database import DatabaseUnreachableError, connect
from infra.process_name import ProcessName
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.pulse.pulse import Said

GOODBYE_SECONDS: Final = 2.0
"""How long a process that ends waits for its row to be taken away; a row that stays is seen to be nobody's."""
FORGET_AFTER: Final = timedelta(hours=1)
"""After this the row of a process that ended without a goodbye is deleted by any other."""

_TELL: Final = """
    insert into runtime.processes as known (name, role, started_at, told_at, turned_at, ready, session, state)
    values (%(name)s, %(role)s, %(started_at)s, clock_timestamp(), clock_timestamp() - %(age)s, %(ready)s,
            pg_backend_pid(), %(state)s)
    on conflict (name) do update
    set started_at = excluded.started_at, told_at = excluded.told_at, turned_at = excluded.turned_at,
        ready = excluded.ready, session = excluded.session, state = excluded.state
"""
_FORGET: Final = "delete from runtime.processes where told_at < clock_timestamp() - %s"
_GOODBYE: Final = "delete from runtime.processes where name = %s"

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.pulse")


class Teller(threading.Thread):
    """Tells at an interval, on a session of its own that lasts as long as the process.

    What it tells is when the loop turned last and not that this thread lives. A database that is away is told once in
    the log and tried again at the next interval.

    Args:
        settings: for the database and the interval.
        name: of the process.
        process: which it is.
        said: what the loop said last.
    """

    def __init__(self, settings: Settings, name: str, process: ProcessName, *, said: Callable[[], Said]) -> None:
        super().__init__(name="pulse", daemon=True)
        self._settings = settings
        self._process = {"name": name, "role": process.value, "started_at": datetime.now(UTC)}
        self._said = said
        self._closing = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._is_away = False

    def run(self) -> None:
        """Tell, pause, tell; until stopped."""
        while True:
            self._try(self._tell)
            if self._closing.wait(self._settings.pulse_interval_seconds):
                break
        if self._connection is not None:
            self._try(self._say_goodbye)
            self._leave()

    def stop(self) -> None:
        """Say goodbye, if the database hears it soon enough."""
        self._closing.set()
        if self.is_alive():
            self.join(GOODBYE_SECONDS)

    def _try(self, tell: Callable[[psycopg.Connection[Any]], None]) -> None:
        try:
            if self._connection is None:
                self._connection = connect(self._settings, name=f"pulse {self._process['role']}")
                self._connection.execute(_FORGET, [FORGET_AFTER])
            tell(self._connection)
            self._is_away = False
        except (DatabaseUnreachableError, psycopg.Error) as error:  # away, or not migrated
            self._leave()
            if not self._is_away:
                _LOG.warning("the database is not told of this process; the work goes on", error=str(error).strip())
            self._is_away = True

    def _tell(self, connection: psycopg.Connection[Any]) -> None:
        said = self._said()
        age = timedelta(seconds=max(0.0, time.monotonic() - said.turned))
        state = msgspec.json.encode(said.state, enc_hook=str).decode()
        connection.execute(_TELL, {**self._process, "age": age, "ready": said.ready, "state": state})

    def _say_goodbye(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(_GOODBYE, [self._process["name"]])

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
