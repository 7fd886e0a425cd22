"""A receiver, and a desk at which endpoints are registered, facts happen and deliveries are made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.event_store import EventStore
from infra.settings import Settings
from tests.tasks.webhooks.desk import SETTINGS, Desk
from tests.tasks.webhooks.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def desk(store: EventStore, fresh_platform: Settings) -> Desk:
    return Desk(store, fresh_platform.model_copy(update=SETTINGS))
