"""An event store in a database of its own, empty at the beginning of every test."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from infra import database
from infra.event_store import EventStore
from infra.settings import Settings
from tests.infra.databases import empty, fresh_database


@pytest.fixture(scope="session")
def migrated(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings


@pytest.fixture
def settings(migrated: Settings) -> Settings:
    empty(migrated)
    return migrated


@pytest.fixture
def store(settings: Settings) -> Iterator[EventStore]:
    with EventStore(settings.database_url.get_secret_value(), connections=4, name="test store") as opened:
        yield opened


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection beside the store's, in autocommit."""
    with database.connect(settings, name="test") as opened:
        yield opened
