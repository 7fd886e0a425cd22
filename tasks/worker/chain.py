"""What the log is told of a chain when its first run begins: all its links, so that it can be forked later."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tasks.worker.attempt import Attempt
from tasks.worker.next_message import raw_body

LIMIT_BYTES: Final = 65_536
"""A message larger than that is not read a second time; its chain is not recorded and cannot be forked."""


def chain_of(message: Any, attempt: Attempt) -> dict[str, Any] | None:
    """The data of ``task.chain_recorded``; None where the attempt is not the first of a chain's first run.

    Args:
        message: a kombu message whose body has been found to be well-formed.
        attempt: what it asks for.
    """
    envelope = attempt.envelope
    if envelope is None or attempt.number != 1 or envelope.root_id != attempt.run_id:
        return None
    embed = message.payload[2]
    if not embed or not embed.get("chain"):
        return None
    body = raw_body(message)
    if len(body) > LIMIT_BYTES:
        return None
    try:
        args, kwargs, embed = msgspec.json.decode(body)  # and not kombu's reading, which makes objects of some values
    except ValueError:
        return None  # not UTF-8, or what only Python takes for JSON
    links = embed["chain"][::-1]
    if not all(isinstance(link, dict) for link in links):
        return None
    return {"links": links, "args": args, "kwargs": kwargs, "priority": message.properties.get("priority")}
