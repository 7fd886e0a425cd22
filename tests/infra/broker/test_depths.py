"""Depths of queues, asked of a real broker."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest

from infra.broker.depths import QueueDepths
from infra.broker.errors import BrokerUnreachableError
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.settings import Settings
from tests.infra.broker.relay import Relay
from tests.infra.broker.virtual_host import VirtualHost


def publish(settings: Settings, messages: int) -> None:
    low = OutgoingMessage(exchange="tasks", routing_key="tasks.low", body=b"{}")
    with Publisher(settings, role="test") as publisher:
        publisher.publish([low] * messages, timeout=timedelta(seconds=10))


def test_messages_that_wait_are_counted(virtual_host: VirtualHost, settings: Settings) -> None:
    del virtual_host
    with closing(QueueDepths(settings, role="test")) as depths:
        assert depths.ready("tasks.low") == 0
        publish(settings, 3)
        assert depths.ready("tasks.low") == 3


def test_a_queue_that_is_missing_has_no_depth_and_the_next_question_is_answered(
    virtual_host: VirtualHost, settings: Settings
) -> None:
    del virtual_host
    with closing(QueueDepths(settings, role="test")) as depths:
        assert depths.ready("tasks.nowhere") is None
        assert depths.ready("tasks.low") == 0


def test_a_connection_that_has_died_meanwhile_is_replaced(relay: Relay) -> None:
    with closing(QueueDepths(relay.settings, role="test")) as depths:
        assert depths.ready("tasks.low") == 0
        relay.cut()
        assert depths.ready("tasks.low") == 0


def test_without_a_broker_the_question_is_not_answered(relay: Relay) -> None:
    with closing(QueueDepths(relay.settings, role="test")) as depths:
        depths.ready("tasks.low")
        relay.close()
        with pytest.raises(BrokerUnreachableError):
            depths.ready("tasks.low")
