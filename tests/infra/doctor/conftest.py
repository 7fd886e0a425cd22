from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import database
from infra.broker import topology
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.infra.doctor.ward import Ward


@pytest.fixture(scope="module")
def healthy(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A virtual host with the topology, and a database, both the module's own."""
    state = {"state_dir": tmp_path_factory.mktemp("doctor")}
    sandbox = create_sandbox(servers.model_copy(update=state), label="doctor")
    settings = servers.model_copy(update={**sandbox.settings_update(), **state})
    database.migrate(settings)
    yield settings
    sandbox.drop()


@pytest.fixture
def ward(healthy: Settings) -> Iterator[Ward]:
    """The healthy broker, to be made ill; it is healthy again afterwards."""
    topology.apply(healthy)
    ward = Ward(healthy)
    yield ward
    ward.close()
