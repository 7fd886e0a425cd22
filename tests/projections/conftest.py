"""A database of its own for every test about read models: cloned from one that was migrated once."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from pydantic import SecretStr

from infra import database
from infra.event_store import EventStore
from infra.settings import Settings, load_settings
from tests.projections.world import World

_number = itertools.count(1)


def in_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def administer(url: str, *statements: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="session")
def template() -> Iterator[tuple[str, str]]:
    """The administrator's URL, and the name of a migrated database that nobody is connected to."""
    administrator = load_settings().database_url.get_secret_value()
    name = f"projections_{os.getpid()}"
    administer(administrator, sql.SQL("create database {}").format(sql.Identifier(name)))
    database.migrate(Settings(database_url=SecretStr(in_database(administrator, name))))
    yield administrator, name
    administer(administrator, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def settings(template: tuple[str, str]) -> Iterator[Settings]:
    """Settings of a platform whose database holds nothing yet."""
    administrator, model = template
    name = f"{model}_{next(_number)}"
    made = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(model))
    administer(administrator, made)
    yield Settings(database_url=SecretStr(in_database(administrator, name)))
    administer(administrator, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


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
