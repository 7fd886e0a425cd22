"""Connections: every one named, in UTC, and unable to hold a transaction open for ever."""

from __future__ import annotations

from typing import Any, Final

import psycopg
import sqlalchemy
from psycopg.conninfo import make_conninfo

from infra.settings import Settings

CONNECT_SECONDS: Final = 5
IDLE_IN_TRANSACTION_SECONDS: Final = 60
"""A transaction left open withholds every later event from readers; the server ends it after this."""


class DatabaseUnreachableError(Exception):
    """No connection to PostgreSQL could be had. A fault: back off and try again."""


def parameters(database_url: str, *, name: str) -> str:
    """The connection string for ``database_url`` with what every connection of ours has.

    Args:
        database_url: PostgreSQL connection URI.
        name: shown as ``application_name`` in ``pg_stat_activity``.
    """
    return make_conninfo(
        database_url,
        application_name=f"ledgerq {name}",
        connect_timeout=CONNECT_SECONDS,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        options=f"-c TimeZone=UTC -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s",
    )


def connect(settings: Settings, *, name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection of its own, in autocommit.

    Raises:
        DatabaseUnreachableError: there is none to be had.
    """
    try:
        return psycopg.connect(parameters(settings.database_url.get_secret_value(), name=name), autocommit=True)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(str(error).strip()) from error


def engine(settings: Settings, *, name: str, connections: int = 2) -> sqlalchemy.Engine:
    """An SQLAlchemy engine on psycopg 3 with a small pool that notices dead connections."""
    conninfo = parameters(settings.database_url.get_secret_value(), name=name)
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo),
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
    )
