from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra import database
from infra.broker import topology
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.infra.web.face import PROXY, STRANGERS_AT_ONCE, Face, face
from tests.tasks.processes import Process


@pytest.fixture(scope="package")
def served(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """The interface, with ingest and the projector behind it."""
    directory = tmp_path_factory.mktemp("web")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="web")
    settings = servers.model_copy(update=sandbox.settings_update())
    database.migrate(settings)
    topology.apply(settings)
    with ExitStack() as stack:
        stack.callback(sandbox.drop)
        for command in ("ingest", "projector"):
            stack.enter_context(Process(command, settings, log=directory / f"{command}.log"))
        yield stack.enter_context(face(settings, directory))


@pytest.fixture(scope="package")
def strict(served: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    """A process that lets an address ask as a stranger five times, and then five times a second; one proxy is named."""
    limits = {
        "LEDGERQ_WEB_STRANGER_REQUESTS_PER_SECOND": str(STRANGERS_AT_ONCE),
        "LEDGERQ_WEB_TRUSTED_PROXIES": f"{PROXY}/32",
    }
    with face(served.settings, tmp_path_factory.mktemp("strict"), tokens=served.tokens, **limits) as other:
        yield other
