"""Runs that wait, in a real store; what becomes of them is decided by followers of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.event_store import EventStore
from infra.settings import Settings
from tests.tasks.waiting.platform import Waiting


@pytest.fixture
def waiting(fresh_platform: Settings, store: EventStore) -> Iterator[Waiting]:
    made = Waiting(fresh_platform, store)
    yield made
    made.close()
