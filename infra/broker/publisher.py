"""The confirmed publisher of dispatch, the worker's recorder, ingest and the emitter.

Confirms are pipelined: a batch is written whole, then its confirms are read; waiting for each one before the next
message costs a round trip per message (measured with Celery: 12 to 16 times slower).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Self

from infra.broker.confirmation import Confirmation, Outcome
from infra.broker.connection import CONNECT_TIMEOUT
from infra.broker.errors import BrokerError, ForkedPublisherError
from infra.broker.frames import OutgoingMessage
from infra.broker.pipeline import Pipeline
from infra.settings import Settings

__all__ = ["Confirmation", "Outcome", "OutgoingMessage", "Publisher"]


class Publisher:
    """Publishes batches and tells what became of each message. For one thread.

    It connects when first used, and again at the next use after an error; :meth:`stay_connected` does it before. A
    child forked while it is connected lets go of the socket without disturbing the parent's, and needs a publisher of
    its own.

    Args:
        settings: for ``broker_url``.
        role: who publishes, for the connection's name in the management UI.
    """

    def __init__(self, settings: Settings, *, role: str) -> None:
        self._settings = settings
        self._role = role
        self._pipeline: Pipeline | None = None
        self._owner = os.getpid()
        _publishers.add(self)

    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        """Publish all messages and wait until the broker has said something to every one.

        All are published ``mandatory``. After an error any number of them may have arrived, none, some or all: those
        whose loss matters are the caller's to publish again, under the same ids.

        Args:
            messages: published in this order.
            timeout: for everything, connecting included.

        Returns:
            one confirmation per message, in the messages' order.

        Raises:
            BrokerUnreachableError: no connection, or it broke.
            PublishTimeoutError: some were not confirmed in time; an alarm may make the broker block publishers.
            BrokerRefusedError: an exchange does not exist, permission is missing, or a message is too large.
            ForkedPublisherError: another process opened this publisher.
            ValueError: a message cannot be put into AMQP; none was sent.
        """
        self._check_owner()
        if not messages:
            return []
        deadline = monotonic() + timeout.total_seconds()
        try:
            return self._connected(timeout).publish(messages, deadline)
        except ValueError:
            raise
        except BaseException:  # an interrupt, too, leaves confirms behind that the next batch must not take for its own
            self._abandon()
            raise

    def keep_alive(self) -> None:
        """For owners with nothing to publish: call it at least every ten seconds, so that the broker keeps us.

        A connection found dead is let go in silence, for nothing depended on it; the next publish opens another.
        """
        self._check_owner()
        if self._pipeline is not None:
            self._still_alive(self._pipeline)

    def stay_connected(self, *, timeout: timedelta) -> None:
        """As :meth:`keep_alive`, and connect where there is no connection.

        Raises:
            BrokerUnreachableError: that did not succeed within `timeout`.
            BrokerRefusedError: the login was refused.
            ForkedPublisherError: another process opened this publisher.
        """
        self._check_owner()
        self._connected(timeout)

    def close(self) -> None:
        """Close the connection, if there is one; the next publish would open another."""
        if self._pipeline is not None and os.getpid() == self._owner:
            self._pipeline.close()
        self._pipeline = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self, timeout: timedelta) -> Pipeline:
        if self._pipeline is None or not self._still_alive(self._pipeline):
            self._pipeline = Pipeline(self._settings, role=self._role, timeout=min(timeout, CONNECT_TIMEOUT))
        return self._pipeline

    def _still_alive(self, pipeline: Pipeline) -> bool:
        try:
            pipeline.keep_alive()
        except BrokerError:
            self._abandon()
            return False
        return True

    def _abandon(self) -> None:
        if self._pipeline is not None:
            self._pipeline.abandon()
        self._pipeline = None

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise ForkedPublisherError(
                f"this publisher belongs to process {self._owner}; process {os.getpid()} needs one of its own"
            )

    def _disown(self) -> None:
        if self._pipeline is not None:
            self._pipeline.disown()
        self._pipeline = None


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _disown_all() -> None:
    for publisher in list(_publishers):
        publisher._disown()  # noqa: SLF001  ours


os.register_at_fork(after_in_child=_disown_all)
