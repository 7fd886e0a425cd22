"""Headers the broker writes, which must not travel with a message that is published again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEATH: Final = (
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
    "x-acquired-count",
    "x-opt-rabbitmq-received-time",
)


def clean_headers(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """The headers without what the broker told about earlier deaths and deliveries.

    Needed wherever a received message is published again (retry, replay, ladder): with ``x-death`` kept, RabbitMQ
    3.10 takes the second pass through the same queue for a cycle and drops the message without a word.
    """
    return {name: value for name, value in (headers or {}).items() if name not in _DEATH}
