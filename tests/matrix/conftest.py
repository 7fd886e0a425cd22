"""Stages: one on the session's servers, one on a broker that is ours to kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from infra import database
from infra.broker import topology
from infra.local.programs import find_rabbitmq
from infra.local.rabbitmq import RabbitMQNode
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.matrix.controlling import write_declarations
from tests.matrix.stage import Stage


@pytest.fixture(scope="module")
def stage(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A virtual host and a database of the module's own, with ingest, dispatch and a projector."""
    directory = tmp_path_factory.mktemp("stage")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="matrix")
    settings = servers.model_copy(update={**sandbox.settings_update(), "state_dir": directory})
    database.migrate(settings)
    topology.apply(settings)
    made = Stage(settings, directory)
    made.start("ingest", "projector")
    yield made
    made.close()
    sandbox.drop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    """A broker that is nobody else's."""
    directory = tmp_path_factory.mktemp("node")
    made = RabbitMQNode(directory, mark=directory, password="matrix", programs=find_rabbitmq())  # noqa: S106
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def mortal(servers: Settings, node: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage on the broker that may be killed; its database is on the session's server."""
    directory = tmp_path_factory.mktemp("mortal")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="mortal")
    addresses = {"broker_url": SecretStr(node.broker_url), "management_url": SecretStr(node.management_url)}
    settings = servers.model_copy(update={**sandbox.settings_update(), **addresses, "state_dir": directory})
    database.migrate(settings)
    topology.apply(settings)
    write_declarations(node)
    made = Stage(settings, directory)
    made.start("ingest", "projector")
    yield made
    made.close()
    sandbox.drop()
