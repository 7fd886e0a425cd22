"""Taking messages ahead: a second consumer of the worker's queues, there only while tasks are short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from amqp import spec

TICK_SECONDS: Final = 0.1
"""How often the worker looks whether it should take more or fewer messages ahead."""
_TAG: Final = "ahead:"


class Ahead:
    """The second consumer.

    RabbitMQ does not change the prefetch of a consumer that is there (3.x with a limit for the whole channel, which
    4.x has deprecated), so this one comes, goes, and comes again with another.

    Args:
        channel: of the first consumer.
        queues: what to consume.
        receive: takes each message.
        children: prefetch of the first consumer, which stays as it is.
    """

    def __init__(self, channel: Any, queues: list[str], *, receive: Callable[[Any], None], children: int) -> None:
        self._channel = channel
        self._queues = queues
        self._receive = receive
        self._children = children
        self.messages = 0

    @staticmethod
    def queue_of(tag: str) -> str | None:
        """The queue that a message came from which has consumer tag ``tag``; None where it is another consumer's."""
        return tag.removeprefix(_TAG) if tag.startswith(_TAG) else None

    def take(self, messages: int) -> None:
        """Have so many messages ahead at most; small changes are not worth the broker's while."""
        if messages == self.messages or (messages and self.messages / 2 < messages < self.messages * 2):
            return
        if self.messages:
            self._cancel()
        if messages:
            self._consume(messages)
        self.messages = messages

    def _consume(self, messages: int) -> None:
        self._channel.basic_qos(0, messages, False)
        for queue in self._queues:
            self._channel.basic_consume(
                queue=queue, consumer_tag=_TAG + queue, callback=self._receive, nowait=True, no_ack=False
            )
        self._channel.basic_qos(0, self._children, False)

    def _cancel(self) -> None:
        for queue in self._queues:
            cancel(self._channel, _TAG + queue)


def cancel(channel: Any, tag: str) -> None:
    """Have nothing more delivered to the consumer ``tag``.

    Not with the channel's own method: it forgets who takes the messages that are under way, and gives those back marked
    as redelivered.
    """
    channel.send_method(spec.Basic.Cancel, "sb", (tag, True))
