"""The connection clients publish tasks through: kombu's, with an end to the wait for a confirm.

While an alarm makes the broker stop reading, Celery's waits without end, whatever its retry policy says, and closing
such a connection in good order would wait again. Here a publish that is not confirmed in time is an error, and its
connection is dropped without a goodbye. A broker that is down needs nothing of ours: kombu gives up after Celery's
``broker_connection_timeout``.
"""

from __future__ import annotations

from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu.transport import pyamqp

from infra.broker.errors import PublishTimeoutError


class ClientChannel(pyamqp.Channel):
    """A channel whose publishes are confirmed, or raise."""

    def basic_publish_confirm(self, *args: Any, **kwargs: Any) -> Any:
        """Publish and wait for the broker's word.

        Raises:
            PublishTimeoutError: it did not come in time. The message may still arrive, once the alarm is over; Celery
                does not try again by itself.
        """
        connection = self.connection
        within = connection.publish_timeout_seconds
        given = {name: kwargs.pop(name, None) or within for name in ("timeout", "confirm_timeout")}
        try:
            return super().basic_publish_confirm(*args, **kwargs, **given)
        except TimeoutError as error:
            raise self._given_up(connection) from error
        except RecoverableConnectionError as error:
            if isinstance(error.__context__, TimeoutError):  # the write itself was not taken
                raise self._given_up(connection) from error
            raise

    def _given_up(self, connection: Any) -> PublishTimeoutError:
        cause = ": an alarm makes it block publishers" if connection.is_blocked else ""
        within = connection.publish_timeout_seconds
        connection.collect()
        return PublishTimeoutError(
            f"the broker has not confirmed the task within {within:g} s{cause}; it may still arrive. "
            "`ledgerq task run` and the event task.requested are kept in the store instead"
        )


class ClientConnection(pyamqp.Connection):
    """A connection that knows whether the broker blocks it."""

    Channel = ClientChannel

    def __init__(self, *args: Any, publish_timeout_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.publish_timeout_seconds = publish_timeout_seconds
        self.is_blocked = False
        self.on_blocked = self._blocked
        self.on_unblocked = self._unblocked

    def _blocked(self, reason: str) -> None:
        del reason
        self.is_blocked = True

    def _unblocked(self) -> None:
        self.is_blocked = False


class ClientTransport(pyamqp.Transport):
    """What :meth:`tasks.app.TaskApp.connection_for_write` hands to kombu."""

    Connection = ClientConnection
