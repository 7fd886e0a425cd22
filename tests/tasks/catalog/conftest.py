"""A fleet in a real store, the projections that tell the tasks about it, and a mail server that keeps what it gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from infra import database
from infra.event_store import EventStore
from infra.local.mailbox import Mailbox
from infra.settings import Settings
from tasks.wiring import Wiring
from tests.tasks.catalog.fleet import Fleet


@pytest.fixture
def engine(fresh_platform: Settings) -> Iterator[sa.Engine]:
    made = database.engine(fresh_platform, name="test", connections=4)
    yield made
    made.dispose()


@pytest.fixture
def fleet(store: EventStore, engine: sa.Engine) -> Fleet:
    return Fleet(store, engine)


@pytest.fixture
def wired(fresh_platform: Settings, store: EventStore, engine: sa.Engine, mailbox: Mailbox) -> Wiring:
    """What a task is given to work with, on the fresh platform."""
    made = Wiring(fresh_platform.model_copy(update={"smtp_url": SecretStr(mailbox.url)}))
    made.__dict__.update(store=store, engine=engine)
    return made


@pytest.fixture(scope="session")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mailbox")) as started:
        yield started
