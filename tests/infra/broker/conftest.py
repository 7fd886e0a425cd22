from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from infra.broker.publisher import Publisher
from infra.broker.topology import apply
from infra.settings import Settings
from tests.infra.broker.relay import Relay
from tests.infra.broker.virtual_host import VirtualHost


@pytest.fixture
def virtual_host(settings: Settings) -> Iterator[VirtualHost]:
    """The session's virtual host with the topology and empty queues, looked at from the side; left as it was."""
    apply(settings)
    with closing(VirtualHost(settings)) as found:
        found.purge()
        yield found
        apply(settings)
        found.purge()


@pytest.fixture
def publisher(settings: Settings, virtual_host: VirtualHost) -> Iterator[Publisher]:
    del virtual_host  # wanted for the topology it has
    with Publisher(settings, role="test") as opened:
        yield opened


@pytest.fixture
def relay(settings: Settings, virtual_host: VirtualHost) -> Iterator[Relay]:
    """A stretch of wire to the broker that can be cut, stopped and listened to."""
    del virtual_host
    with closing(Relay(settings)) as laid:
        yield laid
