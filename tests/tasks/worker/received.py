"""Messages as kombu hands them to a worker, without a broker."""

import json
from struct import iter_unpack
from typing import Any

from kombu.message import Message


class Channel:
    """A channel of py-amqp's that notes what the broker is told of messages, by decoding the frames.

    Attributes:
        told: method and delivery tag.
        writes: how many pieces that came in.
    """

    channel_id = 1
    no_ack_consumers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.writes = 0
        self._fault: Exception | None = None
        self.connection: Channel | None = self
        self.transport = self

    def break_with(self, fault: Exception | None) -> None:
        """Its connection is lost: the next write fails, or (None) the channel knows already."""
        self._fault = fault
        if fault is None:
            self.connection = None

    def write(self, frames: bytes) -> None:
        if self._fault is not None:
            raise self._fault
        self.writes += 1
        for kind, channel, size, of_class, method, tag, bit, end in iter_unpack(">BHIHHQBB", frames):
            assert (kind, channel, size, of_class, bit, end) == (1, 1, 13, 60, 0, 0xCE)
            self.told.append(({80: "ack", 90: "reject"}[method], tag))


def received(
    channel: Channel | None = None, *, tag: int = 1, redelivered: bool = False, body: Any = None, **headers: Any
) -> Message:
    """A task message, sound but for what is given."""
    return Message(
        channel=channel or Channel(),
        body=json.dumps([[1, 2], {"x": 3}, {"chain": None}] if body is None else body).encode(),
        delivery_tag=tag,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={"redelivered": redelivered, "consumer_tag": "1"},
        properties={"priority": 4, "correlation_id": "run-1", "reply_to": ""},
        headers={"id": "run-1", "task": "lab.add", **headers},
    )
