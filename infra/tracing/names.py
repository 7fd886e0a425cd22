"""Names of spans, attributes and span events.

Span names are ``{operation} {destination}`` and have no id in them; the attributes are OpenTelemetry's semantic
conventions for messaging (version 1.44; status of that part: development) and our own under ``ledgerq.``. Written
out here: the package of conventions changes names between its versions, and what is sent is a contract.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# Operations, which span names begin with.
PUBLISH: Final = "publish"
RECEIVE: Final = "receive"
PROCESS: Final = "process"
APPEND: Final = "append"
REPLAY: Final = "replay"
PROJECT: Final = "project"

# messaging.*
SYSTEM: Final = "messaging.system"
RABBITMQ: Final = "rabbitmq"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
ROUTING_KEY: Final = "messaging.rabbitmq.destination.routing_key"
MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION_ID: Final = "messaging.message.conversation_id"
BODY_SIZE: Final = "messaging.message.body.size"
"""Bytes."""
BATCH_COUNT: Final = "messaging.batch.message_count"
"""Only of batches."""
ERROR_TYPE: Final = "error.type"

# Ours.
TASK: Final = "ledgerq.task.name"
RUN_ID: Final = "ledgerq.task.id"
ATTEMPT: Final = "ledgerq.task.attempt"
"""From 1."""
OUTCOME: Final = "ledgerq.task.outcome"
"""Stored name of the event that an attempt ended with (``task.succeeded``)."""
PRIORITY: Final = "ledgerq.priority"
WORKER: Final = "ledgerq.worker"
LICENSE_ID: Final = "ledgerq.license.id"
CORRELATION_ID: Final = "ledgerq.correlation.id"
EVENT_ID: Final = "ledgerq.event.id"
EVENT_NAME: Final = "ledgerq.event.name"
LOG: Final = "ledgerq.log"
STREAM: Final = "ledgerq.stream"
VERSION: Final = "ledgerq.stream.version"
ACTOR: Final = "ledgerq.actor"
REASON: Final = "ledgerq.reason"
DELAY_SECONDS: Final = "ledgerq.retry.delay_seconds"
NEXT_TRACE: Final = "ledgerq.retry.trace_id"
"""Trace of the attempt that follows, where that begins one of its own."""
PROJECTION: Final = "ledgerq.projection"
FIRST_POSITION: Final = "ledgerq.position.first"
LAST_POSITION: Final = "ledgerq.position.last"
LINK: Final = "ledgerq.link"
"""What a link points at; its values are the ``LINK_…`` below."""

LINK_PUBLISHED: Final = "published"
LINK_PREVIOUS_ATTEMPT: Final = "previous attempt"
LINK_DEAD_LETTER: Final = "dead letter"
LINK_FIRST_PUBLISHED: Final = "first publish"
LINK_BATCH: Final = "batch"
LINK_APPENDED: Final = "appended"

# Span events.
RETRY_SCHEDULED: Final = "task.retry_scheduled"
DEAD_LETTERED: Final = "task.dead_lettered"

MOST_LINKS: Final = 128
"""Of one span; as many as OpenTelemetry's SDK keeps."""


class Kind(IntEnum):
    """What a span is about, by its value in OTLP less one, as OpenTelemetry's ``SpanKind`` has it."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


def span_name(operation: str, destination: str) -> str:
    """``{operation} {destination}``."""
    return f"{operation} {destination}"
