"""A delivery: a message as it came on one channel, which is the only one it can be acknowledged on."""

from __future__ import annotations

import logging
from typing import Any

from tasks.worker.verdict import Fate

_log = logging.getLogger("ledgerq.worker")


class Delivery:
    """A kombu message that waits for its fate.

    Args:
        message: the message.
        connection_errors: exceptions by which the client says that the connection is lost.
    """

    __slots__ = ("_connection_errors", "message")

    def __init__(self, message: Any, connection_errors: tuple[type[BaseException], ...]) -> None:
        self.message = message
        self._connection_errors = connection_errors

    @property
    def is_redelivered(self) -> bool:
        """Whether the broker delivered it before and never heard what became of it."""
        return bool((self.message.delivery_info or {}).get("redelivered"))

    def settle(self, fate: Fate, channel: Any) -> bool:
        """Acknowledge or dead-letter the message.

        Args:
            fate: which of the two.
            channel: the channel deliveries come from now. Delivery tags count anew on every channel, so that the tag
                of a lost one names another message on the next.

        Returns:
            False where the message came on a channel that is gone; the broker delivers it again.
        """
        if channel is None or self.message.channel is not channel:
            return False
        if fate is Fate.ACKNOWLEDGED:
            self.message.ack_log_error(_log, self._connection_errors)
        else:
            self.message.reject_log_error(_log, self._connection_errors, requeue=False)
        return bool(self.message.acknowledged)
