from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.platform import platform
from infra.settings import Settings
from tests.tasks.reconcile.ground import Ground


@pytest.fixture(scope="module")
def platform_without_workers(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("reconcile")
    settings = servers.model_copy(update={"state_dir": directory})
    assert servers.management_url is not None
    pace = {
        "LEDGERQ_WATERMARK_INTERVAL_SECONDS": "1",
        "LEDGERQ_MANAGEMENT_URL": servers.management_url.get_secret_value(),
    }
    with platform(settings, label="reconcile", tell=lambda _line: None, pace=pace) as built:
        built.start_process("ingest", "ingest")
        built.start_process("dispatch", "dispatch")
        ground = Ground(built, directory)
        try:
            yield ground
        finally:
            ground.close()


@pytest.fixture
def ground(platform_without_workers: Ground) -> Iterator[Ground]:
    """The platform with empty queues, where whatever earlier tests lost has ended."""
    yield platform_without_workers
    platform_without_workers.kill_workers()
