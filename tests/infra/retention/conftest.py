"""Databases of their own, copied from one in which a story was told: dropping a part is for good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import database
from infra.event_store import Log
from infra.events import sealing
from infra.settings import Settings
from tests.infra.databases import copied_database, fresh_database
from tests.infra.retention.past import Past, opened, tell

SMALL_BLOCKS = dict.fromkeys(Log, 5)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_EVENTS", SMALL_BLOCKS)


@pytest.fixture(scope="session")
def model(servers: Settings) -> Iterator[Settings]:
    """A migrated database."""
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings


@pytest.fixture(scope="session")
def told(servers: Settings, model: Settings) -> Iterator[Settings]:
    """One with the story in it."""
    with copied_database(servers, model) as settings, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "BLOCK_EVENTS", SMALL_BLOCKS)
        with opened(settings) as past:
            tell(past)
        yield settings


@pytest.fixture
def past(servers: Settings, told: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """A log with three months of heartbeats that are over, and archives in a directory of their own."""
    archives = tmp_path_factory.mktemp("archives")
    with copied_database(servers, told) as own:
        settings = own.model_copy(update={"archive_dir": archives, "keep_heartbeats_days": 30.0})
        with opened(settings) as made:
            yield made
