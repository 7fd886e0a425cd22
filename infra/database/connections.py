"""Connections: each named, in UTC, soon aware of a dead peer, and unable to hold a transaction open for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.database.errors import DatabaseUnreachableError, database_faults
from infra.settings import Settings

if TYPE_CHECKING:  # a process that only appends pays neither its memory nor its start
    import sqlalchemy

CONNECT_SECONDS: Final = 5
IDLE_IN_TRANSACTION_SECONDS: Final = 60
"""A transaction left open withholds every later event of its logs from readers; the server ends it after this."""

TCP: Final = {
    "keepalives_idle": 10,  # seconds of silence before the first probe
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds that what was sent may stay unacknowledged
}
SESSION: Final = {
    "TimeZone": "UTC",
    # Rows of a log are read after its safe position, and by a statement that sees more; what is in an append's way too.
    "default_transaction_isolation": r"read\ committed",
    "jit": "off",  # its guesses about arrays cost a second of compiling where the query takes milliseconds
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    # A writer that is killed while its statement waits for a lock would hold readers back until that is over.
    "client_connection_check_interval": "5s",
    # The server's side of TCP above: the session of a host that vanished holds locks, by default for two hours more.
    "tcp_keepalives_idle": "10s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
}


def parameters(database_url: str, *, name: str) -> str:
    """The connection string for ``database_url`` with what every connection of ours has.

    Options in the URL (``?options=-c …``) count last, so an operator can override those of ours.

    Args:
        database_url: PostgreSQL connection URI.
        name: who connects; shown as ``application_name`` in ``pg_stat_activity``, after ``ledgerq``.
    """
    given = conninfo_to_dict(database_url)
    session = " ".join(f"-c {setting}={value}" for setting, value in SESSION.items())
    ours: dict[str, Any] = {
        "application_name": name if name.startswith("ledgerq") else f"ledgerq {name}",
        "client_encoding": "UTF8",
        "connect_timeout": given.get("connect_timeout", CONNECT_SECONDS),
        "options": f"{session} {given.get('options') or ''}".rstrip(),
    }
    return make_conninfo(database_url, **{**TCP, **given, **ours})


def connect(settings: Settings, *, name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection of its own, in autocommit.

    Raises:
        DatabaseUnreachableError: there is none to be had.
    """
    return connect_with(parameters(settings.database_url.get_secret_value(), name=name))


def connect_with(conninfo: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Like :func:`connect`, with the outcome of :func:`parameters`."""
    with database_faults():
        return psycopg.connect(conninfo, autocommit=True)


def engine(settings: Settings, *, name: str, connections: int = 2) -> sqlalchemy.Engine:
    """An SQLAlchemy engine on psycopg 3 with a small pool that notices dead connections."""
    import sqlalchemy  # noqa: PLC0415  see above

    conninfo = parameters(settings.database_url.get_secret_value(), name=name)
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo),
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
    )


__all__ = ["DatabaseUnreachableError", "connect", "connect_with", "engine", "parameters"]
