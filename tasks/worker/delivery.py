"""Deliveries: messages as they came on one channel, which is the only one they can be acknowledged on."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

import structlog

from tasks.worker.verdict import Fate

_SETTLEMENT: Final = Struct(">BHIHHQBB")
"""A frame of ``basic.ack`` or ``basic.reject``: both have a delivery tag and one bit (``multiple``, ``requeue``),
which is 0 in either (AMQP 0-9-1, sections 2.3.5, 1.8.3.13 and 1.8.3.14)."""
_METHOD: Final = 1
_PAYLOAD_BYTES: Final = 13
_BASIC: Final = 60
_METHODS: Final = {Fate.ACKNOWLEDGED: 80, Fate.DEAD_LETTERED: 90}
_END: Final = 0xCE

_log = structlog.get_logger("ledgerq.worker")


class Delivery:
    """A kombu message that waits for its fate.

    Args:
        message: the message.
    """

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message

    @property
    def is_redelivered(self) -> bool:
        """Whether the broker delivered it before and never heard what became of it."""
        return bool((self.message.delivery_info or {}).get("redelivered"))


class Settlements:
    """What is to be told the broker about deliveries, gathered so that it is one write.

    py-amqp would make a system call for each; a busy worker lets go of dozens at a time.

    Args:
        connection_errors: exceptions by which the client says that the connection is lost.
    """

    def __init__(self, connection_errors: tuple[type[BaseException], ...]) -> None:
        self._connection_errors = connection_errors
        self._channel: Any = None
        self._frames: list[bytes] = []

    def add(self, delivery: Delivery, fate: Fate, channel: Any) -> bool:
        """Acknowledge or dead-letter a message, with the next :meth:`send`.

        Args:
            delivery: of the message.
            fate: which of the two.
            channel: the channel deliveries come from now. Delivery tags count anew on every channel, so that the tag
                of a lost one names another message on the next.

        Returns:
            False where the message came on a channel that is gone; the broker delivers it again.
        """
        message = delivery.message
        if channel is None or message.channel is not channel:
            return False
        if channel is not self._channel:
            self._channel, self._frames = channel, []
        frame = (_METHOD, channel.channel_id, _PAYLOAD_BYTES, _BASIC, _METHODS[fate], message.delivery_tag, 0, _END)
        self._frames.append(_SETTLEMENT.pack(*frame))
        return True

    def send(self) -> None:
        """Tell the broker; where the connection turns out to be lost, the messages will come again."""
        if not self._frames:
            return
        frames, self._frames = self._frames, []
        try:
            self._channel.connection.transport.write(b"".join(frames))
        except self._connection_errors as error:
            _log.warning("messages could not be let go; they will be delivered again", detail=str(error))
        except AttributeError:  # a channel that was closed has no connection
            _log.warning("messages could not be let go; their channel is closed")
