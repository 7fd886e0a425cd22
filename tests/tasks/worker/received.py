"""Messages as kombu hands them to a worker, without a broker."""

import json
from typing import Any

from kombu.message import Message


class Channel:
    """Notes what a message is told."""

    no_ack_consumers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def basic_ack(self, tag: int, *, multiple: bool) -> None:
        del multiple
        self.told.append(("ack", tag))

    def basic_reject(self, tag: int, *, requeue: bool) -> None:
        assert not requeue
        self.told.append(("reject", tag))


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
