from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from infra import database
from infra.broker import topology
from infra.broker.emitter import Emitter
from infra.event_store import EventStore
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.infra.broker.relay import Relay
from tests.infra.broker.virtual_host import VirtualHost
from tests.tasks.ingest.looking import Database
from tests.tasks.ingest.running import IngestProcess

Starting = Callable[..., IngestProcess]


@pytest.fixture(scope="session")
def place(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A virtual host and a database that no other test puts anything into, so that everything can be counted."""
    directory = tmp_path_factory.mktemp("ingest")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="ingest")
    settings = servers.model_copy(update=sandbox.settings_update())
    database.migrate(settings)
    topology.apply(settings)
    yield settings
    sandbox.drop()


@pytest.fixture(scope="session")
def store(place: Settings) -> Iterator[EventStore]:
    with EventStore(place.database_url.get_secret_value(), name="test") as opened:
        yield opened


@pytest.fixture
def host(place: Settings) -> Iterator[VirtualHost]:
    """The virtual host with empty queues."""
    with closing(VirtualHost(place)) as found:
        found.purge()
        yield found


@pytest.fixture
def emitter(place: Settings, host: VirtualHost) -> Iterator[Emitter]:
    del host  # wanted for its empty queues
    with Emitter(place, role="test") as opened:
        yield opened


@pytest.fixture
def start(place: Settings, host: VirtualHost, tmp_path: Path) -> Iterator[Starting]:
    """Start an ingest process; it is gone when the test is."""
    del host
    with ExitStack() as stack:

        def starting(settings: Settings = place, **changes: Any) -> IngestProcess:
            process = IngestProcess(settings, tmp_path, **changes)
            stack.callback(process.end)
            return process

        yield starting


@pytest.fixture
def relay(place: Settings) -> Iterator[Relay]:
    """A stretch of wire between the broker and whoever is given its settings."""
    with closing(Relay(place)) as laid:
        yield laid


@pytest.fixture
def looking(place: Settings) -> Iterator[Database]:
    with closing(Database(place)) as found:
        yield found
