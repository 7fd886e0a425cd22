"""Outcomes of runs, as the read model has them at this moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from celery.exceptions import ImproperlyConfigured
from psycopg.rows import class_row

from domain.fan_in import fan_in_stream
from domain.task_group import group_stream
from infra.database import DatabaseUnreachableError, connect
from infra.database.errors import database_faults
from infra.settings import load_settings

_FIND: Final = """
    select run_id, task, queue, worker, state, attempt_count, ended_at, result, error_type, error, traceback,
           payload_encoding,
           case when payload_stored_at >= clock_timestamp() - make_interval(secs => %s) then payload end as payload
    from results.outcomes where run_id = any(%s)
"""
_GROUP: Final = "select result, members from results.groups where stream_id = any(%s) order by result is null limit 1"
_HINT: Final = "results are read from the database that LEDGERQ_DATABASE_URL names; without one ask the HTTP interface"

_Row = TypeVar("_Row", bound=NamedTuple)


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


class FoundGroup(NamedTuple):
    """A row of ``results.groups``."""

    result: list[Any] | None
    members: list[list[str]]


@contextmanager
def _hints() -> Iterator[None]:
    try:
        yield
    except DatabaseUnreachableError as error:
        raise DatabaseUnreachableError(f"{error} ({_HINT})") from error
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedTable,
    ) as error:
        raise ImproperlyConfigured(
            f"{str(error).strip()}: {_HINT}; whoever logs in there has to be allowed to read results.outcomes, as role "
            "ledgerq_client is, and `ledgerq migrate` to have run"
        ) from error


class Outcomes:
    """Looks runs up, on one connection that is opened when it is first needed; for several threads.

    A connection that was lost is opened anew once; a forked child opens its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._pid = 0
        self._kept_seconds = 0.0
        self.have_been_asked = False
        """Whether the database has answered yet; one that never has is the fault of a setting rather than an outage."""

    def find(self, run_ids: Collection[str]) -> dict[str, FoundRun]:
        """What is known of runs, by id; those of which nothing is are left out.

        Raises:
            DatabaseUnreachableError: the database does not answer.
            ImproperlyConfigured: it answers, and has no results for who asks.
        """
        asked = [each for each in run_ids if "\0" not in each]  # no run has such an id, and PostgreSQL no such text
        return {found.run_id: found for found in self._asked(FoundRun, _FIND, lambda: [self._kept_seconds, asked])}

    def group(self, group_id: str) -> FoundGroup | None:
        """The members of a group; None: it is not known. Raises what :meth:`find` does."""
        streams = [] if "\0" in group_id else [group_stream(group_id), fan_in_stream(group_id)]
        return next(iter(self._asked(FoundGroup, _GROUP, lambda: [streams])), None)

    def _asked(self, row: type[_Row], sql: str, values: Callable[[], list[Any]]) -> list[_Row]:
        """What the database answers; ``values`` are known once it is connected."""
        with self._lock, _hints():
            was_open = self._connection is not None
            try:
                found = self._ask(row, sql, values)
            except DatabaseUnreachableError:
                self._drop()
                if not was_open:
                    raise
                found = self._ask(row, sql, values)  # it may have been idle for hours, or the server started anew
            self.have_been_asked = True
            return found

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _ask(self, row: type[_Row], sql: str, values: Callable[[], list[Any]]) -> list[_Row]:
        connection = self._opened()
        with database_faults(connection), connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(sql.encode(), values()).fetchall()

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
