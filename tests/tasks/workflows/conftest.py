from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra.settings import Settings
from tests.tasks.workflows.flow import Flow, ground


@pytest.fixture(scope="package")
def flow(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    directory = tmp_path_factory.mktemp("flow")
    with ground(servers, directory, "ingest", "projector", "dispatch") as settings, ExitStack() as stack:
        made = Flow(settings, directory)
        stack.callback(made.app.backend.close)
        stack.callback(made.app.close)
        stack.callback(lambda: [worker.wait() for worker in made.workers])
        stack.callback(lambda: [worker.kill() for worker in made.workers])
        made.start_worker()
        yield made
