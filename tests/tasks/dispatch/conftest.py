"""Runs accepted in a real store, and what a real broker got of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.event_store import EventStore
from infra.settings import Settings
from tests.tasks.dispatch.world import World


@pytest.fixture
def world(fresh_platform: Settings, store: EventStore) -> Iterator[World]:
    """A platform with nothing on it, and both ends of dispatch in hand."""
    made = World(fresh_platform, store)
    yield made
    made.close()
