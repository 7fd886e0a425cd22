from collections.abc import Iterator

import pytest

from infra.settings import Settings
from tests.tasks.worker.lab import Lab, laboratory


@pytest.fixture(scope="module")
def lab(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A virtual host of its own, so that nobody else takes what is told of the lab's runs."""
    with laboratory(servers, tmp_path_factory.mktemp("lab")) as made:
        yield made
