from __future__ import annotations

from contextlib import closing
from uuid import uuid4

import pytest
from pydantic import SecretStr

from infra.broker.connection import connect, connection_parameters, open_amqp
from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.settings import Settings
from tests.infra.broker.virtual_host import VirtualHost
from tests.waiting import eventually


def elsewhere(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"broker_url": SecretStr(url)})


def test_a_connection_says_who_it_is(settings: Settings, virtual_host: VirtualHost) -> None:
    role = f"looked-at-{uuid4().hex}"

    with closing(connect(settings, role=role)):
        assert eventually(lambda: virtual_host.connection_named(role))


def test_heartbeats_and_blocked_connections_are_bounded(settings: Settings) -> None:
    parameters = connection_parameters(settings, role="test")

    assert parameters.heartbeat == 30
    assert parameters.blocked_connection_timeout == 60


@pytest.mark.parametrize("opener", [connect, open_amqp])
def test_a_broker_that_is_away_is_named_without_its_password(settings: Settings, opener: object) -> None:
    away = elsewhere(settings, "amqp://somebody:secret@127.0.0.1:1/nowhere")

    with pytest.raises(BrokerUnreachableError, match=r"amqp://somebody:\*\*\*@127\.0\.0\.1:1/nowhere"):
        opener(away, role="test")  # type: ignore[operator]


@pytest.mark.parametrize("opener", [connect, open_amqp])
def test_a_refused_login_is_no_lost_connection(settings: Settings, opener: object) -> None:
    url = settings.broker_url.get_secret_value()
    stranger = elsewhere(settings, "amqp://nobody:nothing@" + url.partition("@")[2])

    with pytest.raises(BrokerRefusedError, match="ACCESS_REFUSED"):
        opener(stranger, role="test")  # type: ignore[operator]
