"""A database of its own for tests about read models, migrated once and emptied before every test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from psycopg import sql
from pydantic import SecretStr

from infra import database
from infra.cli import ledgerq
from infra.event_store import EventStore, Log
from infra.settings import Settings
from projections.tables import METADATA
from tests.projections.world import World

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def migrated(servers: Settings) -> Iterator[Settings]:
    """Settings of a platform whose database is migrated."""
    url = servers.database_url.get_secret_value()
    name = f"projections_{secrets.token_hex(4)}"
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            settings = servers.model_copy(update={"database_url": SecretStr(own)})
            database.migrate(settings)
            yield settings
        finally:
            administrator.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def settings(migrated: Settings) -> Settings:
    """Settings of a platform whose database holds nothing yet."""
    tables = [f"event_store.{log.table}" for log in Log]
    tables += ["event_store.checkpoints", "read_model_draft.drafts", "read_model_draft.parked_events"]
    tables += ["read_model_draft.counted_skips", "event_store.seats"]
    tables += [table.fullname for table in METADATA.tables.values()]
    with database.connect(migrated, name="test") as connection:
        connection.execute("set ledgerq.maintenance = 'on'")
        # Deleting a few rows is quicker than truncating, which gives every table new files.
        connection.execute("; ".join(f"delete from {table}" for table in tables).encode())  # noqa: S608  our own names
    return migrated


@pytest.fixture
def store(settings: Settings) -> Iterator[EventStore]:
    with EventStore(settings.database_url.get_secret_value(), name="test") as opened:
        yield opened


@pytest.fixture
def connection(settings: Settings) -> Iterator[sa.Connection]:
    engine = database.engine(settings, name="test")
    with engine.connect() as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def world(store: EventStore, connection: sa.Connection) -> World:
    return World(store, connection)


@pytest.fixture
def asking(settings: Settings) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection that commits each statement, as the commands have it."""
    with database.connect(settings, name="asking") as connection:
        yield connection


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(ledgerq, arguments)

    return invoke
