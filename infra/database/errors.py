"""Faults of the database, told apart from faults of what was asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

PROGRAM_LIMIT_EXCEEDED: Final = "54"
"""SQLSTATE class of what is too large or too complex (PostgreSQL manual, appendix A): the fault of what was sent."""

_OUTAGES: Final = (
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,  # after a failover: this server is a standby now, another one takes writes
)
# Outages that psycopg does not derive from its OperationalError.


class DatabaseUnreachableError(Exception):
    """The database cannot serve just now: back off and do it again.

    No connection was to be had, it broke on the way, or the server gave the transaction up (deadlock, disk full, time
    limit, a standby that takes no writes). In all cases but one the transaction is undone: where the connection broke
    during its commit, nobody knows, and what is done again has to be recognizable as a repeat.
    """


@contextmanager
def database_faults(connection: psycopg.Connection[Any] | None = None) -> Iterator[None]:
    """Turn what psycopg raises for faults of the database into :class:`DatabaseUnreachableError`.

    Args:
        connection: if it turns out to be closed, whatever psycopg raised was the fault of that.
    """
    try:
        yield
    except psycopg.Error as error:
        if is_fault_of_database(error) or (connection is not None and connection.closed):
            raise DatabaseUnreachableError(str(error).strip()) from error
        raise


def is_fault_of_database(error: psycopg.Error) -> bool:
    """Whether doing the same thing again, later, may succeed."""
    if isinstance(error, psycopg.OperationalError):
        return not (error.sqlstate or "").startswith(PROGRAM_LIMIT_EXCEEDED)
    return isinstance(error, _OUTAGES)
