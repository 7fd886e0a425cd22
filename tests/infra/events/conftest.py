"""A database of its own, migrated to the newest revision and empty at the beginning of every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from click.testing import CliRunner, Result

from infra import database
from infra.cli import ledgerq
from infra.event_store import EventStore
from infra.settings import Settings
from tests.infra.databases import empty, fresh_database

Run = Callable[..., Result]
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="session")
def migrated(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings


@pytest.fixture
def settings(migrated: Settings) -> Settings:
    empty(migrated)
    with database.connect(migrated, name="test") as connection, connection.transaction():
        connection.execute("set local ledgerq.maintenance = 'on'")
        connection.execute("delete from event_store.seals")
    return migrated


@pytest.fixture
def store(settings: Settings) -> Iterator[EventStore]:
    with EventStore(settings.database_url.get_secret_value(), connections=2, name="test store") as opened:
        yield opened


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """A connection beside the store's, in autocommit."""
    with database.connect(settings, name="test") as opened:
        yield opened


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on this database."""
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(ledgerq, ["events", *arguments])

    return invoke
