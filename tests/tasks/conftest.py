"""Platforms on which nothing has happened yet, for tests that follow whole logs or unbind queues."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from infra import database
from infra.broker import topology
from infra.broker.connection import connect
from infra.event_store import EventStore
from infra.local.sandbox import Sandbox, create_sandbox
from infra.settings import Settings

_number = itertools.count(1)


@pytest.fixture(scope="session")
def model(servers: Settings) -> Iterator[Sandbox]:
    """A virtual host to be shared and a migrated database to be copied, which nobody is connected to."""
    sandbox = create_sandbox(servers, label="tasks")
    try:
        settings = servers.model_copy(update=sandbox.settings_update())
        database.migrate(settings)
        topology.apply(settings)
        yield sandbox
    finally:
        sandbox.drop()


@pytest.fixture
def fresh_platform(servers: Settings, model: Sandbox, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a platform with empty logs and empty queues."""
    name = f"{model.database}_{next(_number)}"
    copied = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(model.database))
    dropped = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
    url = model.database_url.removesuffix(model.database) + name
    settings = servers.model_copy(
        update={**model.settings_update(), "database_url": SecretStr(url), "state_dir": tmp_path}
    )
    _empty_the_queues(settings)
    with psycopg.connect(servers.database_url.get_secret_value(), autocommit=True) as administrator:
        administrator.execute(copied)
        yield settings
        administrator.execute(dropped)


@pytest.fixture
def store(fresh_platform: Settings) -> Iterator[EventStore]:
    """The event store of the fresh platform."""
    with EventStore(fresh_platform.database_url.get_secret_value(), name="test") as opened:
        yield opened


def _empty_the_queues(settings: Settings) -> None:
    connection = connect(settings, role="test")
    channel = connection.channel()
    for queue in topology.TOPOLOGY.queues:
        channel.queue_purge(queue.name)
    connection.close()
