"""Outcomes of runs, as the read model has them at this moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from infra.database import DatabaseUnreachableError, connect
from infra.database.errors import database_faults
from infra.settings import load_settings

_FIND: Final = """
    select run_id, task, queue, worker, state, attempt_count, ended_at, result, error_type, error, traceback,
           payload_encoding,
           case when payload_stored_at >= clock_timestamp() - make_interval(secs => %s) then payload end as payload
    from results.outcomes where run_id = any(%s)
"""


class FoundRun(NamedTuple):
    """A row of ``results.outcomes``; of the payload nothing where there is none, or its time is up."""

    run_id: str
    task: str | None
    queue: str | None
    worker: str | None
    state: str
    attempt_count: int
    ended_at: datetime | None
    result: str | None
    error_type: str | None
    error: str | None
    traceback: str | None
    payload_encoding: str | None
    payload: bytes | None


class Outcomes:
    """Looks runs up, on one connection that is opened when it is first needed; for several threads.

    A connection that was lost is opened anew once; a forked child opens its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._pid = 0
        self._kept_seconds = 0.0

    def find(self, run_ids: Collection[str]) -> dict[str, FoundRun]:
        """What is known of runs, by id; those of which nothing is are left out.

        Raises:
            DatabaseUnreachableError: the database does not answer.
        """
        with self._lock:
            was_open = self._connection is not None
            try:
                return self._find(run_ids)
            except DatabaseUnreachableError:
                self._drop()
                if not was_open:
                    raise
            return self._find(run_ids)  # it may have been idle for hours, or the server have been started anew

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _find(self, run_ids: Collection[str]) -> dict[str, FoundRun]:
        connection = self._opened()
        with database_faults(connection), connection.cursor(row_factory=class_row(FoundRun)) as cursor:
            asked = [each for each in run_ids if "\0" not in each]  # no run has such an id, and PostgreSQL no such text
            return {found.run_id: found for found in cursor.execute(_FIND, [self._kept_seconds, asked])}

    def _opened(self) -> psycopg.Connection[Any]:
        if self._connection is not None and self._pid != os.getpid():
            self._connection = None  # the parent's, who goes on using it
        if self._connection is None:
            settings = load_settings()
            self._connection = connect(settings, name="results")
            self._pid, self._kept_seconds = os.getpid(), settings.result_retention_seconds
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None
