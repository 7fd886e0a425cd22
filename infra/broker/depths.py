"""How many messages wait in a queue, asked of the broker itself and not of its management interface."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import amqp

from infra.broker.connection import CONNECT_TIMEOUT, broker_faults, open_amqp
from infra.broker.errors import BrokerError, BrokerRefusedError, BrokerUnreachableError
from infra.settings import Settings


class QueueState(NamedTuple):
    """A queue at one moment.

    Attributes:
        ready: messages that no consumer has in hand.
        consumers: how many there are.
    """

    ready: int
    consumers: int


class QueueDepths:
    """Asks by declaring passively, over a connection that publishes nothing: no alarm makes the broker stop reading it.

    It connects when first used, and again at the next use after an error. For one thread.

    Args:
        settings: for ``broker_url``.
        role: who asks, for the connection's name in the management UI.
    """

    def __init__(self, settings: Settings, *, role: str) -> None:
        self._settings = settings
        self._role = role
        self._connection: amqp.Connection | None = None

    def ready(self, queue: str) -> int | None:
        """Messages in the queue that no consumer has in hand; None where there is no such queue.

        Raises as :meth:`state`.
        """
        state = self.state(queue)
        return None if state is None else state.ready

    def state(self, queue: str) -> QueueState | None:
        """The queue at this moment; None where there is no such queue.

        Raises:
            BrokerUnreachableError: no connection, or no answer within five seconds.
            BrokerRefusedError: permission is missing.
        """
        if self._connection is not None:
            with suppress(BrokerUnreachableError):  # left alone for long it may be dead; a new one is tried once
                return self._ask(queue, self._connection)
        connection = open_amqp(self._settings, role=self._role)
        connection.sock.settimeout(CONNECT_TIMEOUT.total_seconds())
        self._connection = connection
        return self._ask(queue, connection)

    def close(self) -> None:
        """Close the connection, if there is one; the next question would open another."""
        if self._connection is not None:
            with suppress(BrokerError), broker_faults(self._settings):  # it is away already
                self._connection.close()
            self._abandon()

    def _ask(self, queue: str, connection: amqp.Connection) -> QueueState | None:
        try:
            with broker_faults(self._settings):
                channel = connection.channel()
                try:
                    declared = channel.queue_declare(queue, passive=True)
                except amqp.exceptions.NotFound:  # and the broker has closed the channel
                    return None
                channel.close()
        except BaseException:
            self._abandon()
            raise
        return QueueState(declared.message_count, declared.consumer_count)

    def _abandon(self) -> None:
        if self._connection is not None:
            self._connection.collect()
        self._connection = None


class PermittedQueues:
    """Queues some of which the user may not ask for: from RabbitMQ 4.2.7 and 4.3.1 on that takes a permission to read.

    What is refused once is not asked for again: each refusal costs the connection. For one thread.

    Args:
        queues: all of them, by name.
    """

    def __init__(self, queues: Iterable[str]) -> None:
        self._queues = list(queues)

    def states(self, depths: QueueDepths) -> dict[str, QueueState | None]:
        """Those that the user may ask for, as :meth:`QueueDepths.state` tells them.

        Raises:
            BrokerUnreachableError: no connection, or no answer within five seconds.
        """
        states = {}
        for queue in tuple(self._queues):
            try:
                states[queue] = depths.state(queue)
            except BrokerRefusedError:
                self._queues.remove(queue)
        return states
