"""What the log is told of a chain when its first run begins, and of a chord's member: so they can be forked later."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tasks.worker.attempt import Attempt
from tasks.worker.next_message import raw_body

LIMIT_BYTES: Final = 65_536
"""A message larger than that is not read a second time; its chain is not recorded and cannot be forked."""


def chain_of(message: Any, attempt: Attempt) -> dict[str, Any] | None:
    """The data of ``task.chain_recorded``; None where the attempt begins neither a chain nor a chord's member.

    Args:
        message: a kombu message whose body has been found to be well-formed.
        attempt: what it asks for.
    """
    envelope = attempt.envelope
    if envelope is None or attempt.number != 1 or envelope.chain_id is not None:
        return None
    embed = message.payload[2]
    if not embed or not (embed.get("chain") or embed.get("chord")):
        return None
    body = raw_body(message)
    if len(body) > LIMIT_BYTES:
        return None
    try:
        args, kwargs, embed = msgspec.json.decode(body)  # and not kombu's reading, which makes objects of some values
    except ValueError:
        return None  # not UTF-8, or what only Python takes for JSON
    parts = {name: embed.get(name) or [] for name in ("chain", "callbacks", "errbacks")}
    if not all(isinstance(each, dict) for part in parts.values() for each in part):
        return None
    return {
        "links": parts["chain"][::-1],  # Celery takes the next one from the end
        "args": args,
        "kwargs": kwargs,
        "priority": message.properties.get("priority"),
        "callbacks": parts["callbacks"] or None,
        "errbacks": parts["errbacks"] or None,
        "license_id": envelope.license_id or None,
    }
