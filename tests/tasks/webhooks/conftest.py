"""A receiver, and a desk at which endpoints are registered, facts happen and deliveries are made."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from infra.event_store import EventStore
from infra.local.sandbox import Sandbox
from infra.settings import Settings
from tests.tasks.webhooks.desk import SETTINGS, Desk
from tests.tasks.webhooks.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture(scope="package")
def shared_store(servers: Settings, model: Sandbox) -> Iterator[EventStore]:
    """A store for tests that each have an endpoint of their own and look at what was recorded since they began."""
    name = f"{model.database}_webhooks"
    url = model.database_url.removesuffix(model.database) + name
    with psycopg.connect(servers.database_url.get_secret_value(), autocommit=True) as administrator:
        copied = sql.SQL("create database {} template {}")
        administrator.execute(copied.format(sql.Identifier(name), sql.Identifier(model.database)))
        with EventStore(url, name="test") as opened:
            yield opened
        administrator.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def desk(shared_store: EventStore) -> Iterator[Desk]:
    """A desk that shares its store with those before it, and leaves no endpoint there."""
    made = Desk(shared_store, Settings().model_copy(update=SETTINGS))
    yield made
    made.remove_all()


@pytest.fixture
def own_desk(store: EventStore, fresh_platform: Settings) -> Desk:
    """A desk with a platform of its own."""
    return Desk(store, fresh_platform.model_copy(update=SETTINGS))
