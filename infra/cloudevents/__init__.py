"""CloudEvents 1.0 on AMQP 0-9-1: what a message on exchange `events` says, and how to write one.

Only JSON events: the event format in structured and in batch mode, JSON data in binary mode. The names offered here
are the whole contract code; the modules below are how it is done.
"""

from infra.cloudevents.decoding import decode
from infra.cloudevents.encoding import Encoded, encode_batch, encode_binary, encode_structured, joined_batch
from infra.cloudevents.event import ABSENT, CloudEvent, Unreadable, unique_id
from infra.cloudevents.making import new_event

__all__ = [
    "ABSENT",
    "CloudEvent",
    "Encoded",
    "Unreadable",
    "decode",
    "encode_batch",
    "encode_binary",
    "encode_structured",
    "joined_batch",
    "new_event",
    "unique_id",
]
