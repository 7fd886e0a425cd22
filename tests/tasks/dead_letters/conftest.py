"""Dead letters in a real store, and the read models that know of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import database
from infra.event_store import EventStore
from infra.settings import Settings
from tests.tasks.dead_letters.morgue import Morgue


@pytest.fixture
def morgue(fresh_platform: Settings, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Morgue]:
    """A platform with nothing on it, and the environment of a person at its keyboard."""
    monkeypatch.setenv("LEDGERQ_BROKER_URL", fresh_platform.broker_url.get_secret_value())
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())
    engine = database.engine(fresh_platform, name="test", connections=2)
    yield Morgue(fresh_platform, store, engine)
    engine.dispose()
