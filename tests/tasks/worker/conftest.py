from collections.abc import Iterator

import pytest

from infra import database
from infra.settings import Settings
from tests.tasks.worker.lab import Lab, laboratory


@pytest.fixture(scope="module")
def lab(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A virtual host of its own, so that nobody else takes what is told of the lab's runs."""
    with laboratory(servers, tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="module")
def stored_lab(lab: Lab) -> Lab:
    """The lab with a database that its workers look into; nothing is ingested unless a test does."""
    database.migrate(lab.settings)
    lab.environment["LEDGERQ_DATABASE_URL"] = lab.settings.database_url.get_secret_value()
    return lab
