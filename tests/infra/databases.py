"""Databases for tests about the database itself: a whole one, made and dropped, and an emptied store in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr

from infra import database
from infra.event_store import Log
from infra.settings import Settings


def someone_waits_for_a_lock(settings: Settings) -> bool:
    """Whether a session of this database waits for another one."""
    with database.connect(settings, name="look") as connection:
        row = connection.execute(
            "select count(*) from pg_locks join pg_stat_activity using (pid) "
            "where not granted and datname = current_database()"
        ).fetchone()
    return row is not None and row[0] > 0


@contextmanager
def fresh_database(servers: Settings) -> Iterator[Settings]:
    """Settings with a database in which there is nothing, not even a schema."""
    url = servers.database_url.get_secret_value()
    name = f"ledgerq_store_{secrets.token_hex(5)}"
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield servers.model_copy(update={"database_url": SecretStr(own)})
        finally:
            administrator.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def copied_database(servers: Settings, model: Settings) -> Iterator[Settings]:
    """Settings with a database that is a copy of another one, which nobody is connected to."""
    url, origin = servers.database_url.get_secret_value(), model.database_url.get_secret_value()
    name = f"ledgerq_copy_{secrets.token_hex(5)}"
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    template = sql.Identifier(urlsplit(origin).path.removeprefix("/"))
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), template))
        try:
            yield servers.model_copy(update={"database_url": SecretStr(own)})
        finally:
            administrator.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def empty(settings: Settings) -> None:
    """Forget everything that was ever stored; positions begin at 1 again."""
    with database.connect(settings, name="test") as connection, connection.transaction():
        connection.execute("set local ledgerq.maintenance = 'on'")
        connection.execute("delete from event_store.checkpoints")
        if connection.execute("select to_regclass('event_store.seats')").fetchone() != (None,):
            connection.execute("delete from event_store.seats")
        for log in Log:  # truncating would be slower: it makes new files
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier("event_store", log.table)))
            connection.execute("select setval(%s, 1, false)", (f"event_store.{log.table}_position_seq",))


def end_sessions(settings: Settings, *, like: str) -> int:
    """Have the server end the sessions of this database whose name is ``like`` that; how many there were."""
    with database.connect(settings, name="executioner") as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and application_name like %s",
            (like,),
        ).fetchall()
    return len(ended)
