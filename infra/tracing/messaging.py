"""Attributes that every span about a message has, by the semantic conventions for RabbitMQ."""

from __future__ import annotations

from typing import Final

from infra.tracing import names
from infra.tracing.span import Attributes

_TYPES: Final = {names.PUBLISH: "send", names.RECEIVE: "receive", names.PROCESS: "process"}
"""Type of each operation."""


def about_message(
    operation: str,
    *,
    exchange: str,
    routing_key: str,
    queue: str | None = None,
    message_id: str | None = None,
    conversation_id: str | None = None,
    body_size: int | None = None,
) -> Attributes:
    """The attributes.

    Args:
        operation: ``publish``, ``receive`` or ``process``.
        exchange: it was published to.
        routing_key: it was published under.
        queue: it was consumed from.
        message_id: the property.
        conversation_id: the story's correlation id.
        body_size: bytes.
    """
    places = [each for each in (exchange, routing_key, queue) if each]
    return {
        names.SYSTEM: names.RABBITMQ,
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: _TYPES[operation],
        names.DESTINATION: ":".join(dict.fromkeys(places)) or "amq.default",
        names.ROUTING_KEY: routing_key or None,
        names.MESSAGE_ID: message_id,
        names.CONVERSATION_ID: conversation_id,
        names.BODY_SIZE: body_size,
    }
