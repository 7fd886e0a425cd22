"""A database in which nothing is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.settings import Settings
from tests.infra.databases import fresh_database


@pytest.fixture
def untouched(servers: Settings) -> Iterator[Settings]:
    """Settings with a database of this test's own that was never migrated."""
    with fresh_database(servers) as settings:
        yield settings


@pytest.fixture(scope="module")
def settings(servers: Settings) -> Iterator[Settings]:
    """Settings with a database for tests that need sessions and no tables."""
    with fresh_database(servers) as made:
        yield made
