from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra import database
from infra.broker import topology
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.tasks.processes import Process
from tests.tasks.workflows.flow import Flow


@pytest.fixture(scope="package")
def flow(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    directory = tmp_path_factory.mktemp("flow")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="flow")
    settings = servers.model_copy(update=sandbox.settings_update())
    database.migrate(settings)
    topology.apply(settings)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        stack.callback(sandbox.drop)
        environment.setenv("LEDGERQ_BROKER_URL", settings.broker_url.get_secret_value())
        environment.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())
        for command in ("ingest", "projector", "dispatch"):
            stack.enter_context(Process(command, settings, log=directory / f"{command}.log"))
        made = Flow(settings, directory)
        stack.callback(made.app.backend.close)
        stack.callback(made.app.close)
        stack.callback(lambda: [worker.wait() for worker in made.workers])
        stack.callback(lambda: [worker.kill() for worker in made.workers])
        made.start_worker()
        yield made
