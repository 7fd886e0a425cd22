"""Which run a task message belongs to, also where the message does not say so properly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

MALFORMED_NAMESPACE: Final = UUID("0192d7a5-6f00-7c3e-9a51-6d616c666f72")
"""Namespace (RFC 9562, name-based UUIDs) of the ids of messages that carry none that is usable."""

REQUESTED: Final = "run"
"""What the run that a message asks for is called under the message's own name."""

_USABLE: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# The same shape that lifecycle messages ask of a run id (`domain.messages.Id`).


def requested_run_id(message: UUID) -> UUID:
    """The id of the run that a request asks for which names none.

    It follows from the request's source and id and from nothing else: a client that sends again may stamp a new time,
    and two processes that take the two in at the same moment know nothing of each other but the run they arrive at.
    For that it does without the time that a UUIDv7 begins with; who wants ids that sort by time chooses them.

    Args:
        message: the name that the request has in the whole system, whenever and however often it is sent.
    """
    return uuid5(message, REQUESTED)


def malformed_run_id(body: bytes, headers: Mapping[str, Any] | None) -> UUID:
    """The id of the run that a message stands for which carries no usable id.

    The worker that rejects the message and the listener that finds it among the dead letters each derive it from what
    they hold: it depends on nothing that a broker adds on the way (``x-death``).

    Args:
        body: the message's body.
        headers: its headers, if any; an unusable ``id`` tells two messages of the same body apart.
    """
    named = (headers or {}).get("id")
    told = str(named).encode(errors="surrogateescape") if isinstance(named, (str, int)) else b""
    return uuid5(MALFORMED_NAMESPACE, (told + b"\0" + body).decode("latin-1"))


def message_run_id(body: bytes, headers: Mapping[str, Any] | None) -> str:
    """The id of the run that a task message belongs to: its ``id`` header, or one derived where that is unusable.

    Args:
        body: the message's body.
        headers: its headers, if any.
    """
    named = (headers or {}).get("id")
    if isinstance(named, str) and _USABLE.fullmatch(named):
        return named
    return str(malformed_run_id(body, headers))
