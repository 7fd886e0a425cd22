"""Waiting: a task asks to be gone on with once something has happened, or once a time has come."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from celery.exceptions import Retry

from domain.kept_message import KeptMessage
from domain.wait import WaitTerms
from infra.broker.frames import OutgoingMessage
from infra.event_store.waits import WAITED_FOR, log_of
from tasks.worker.attempt import Attempt

KEPT_LIMIT_BYTES: Final = 131_072
"""Largest body, and largest headers, of a message that is kept while its run waits."""


class Wait(Retry):  # type: ignore[misc]  # Celery is untyped
    """Raised in a task: it waits, at no cost, and its next attempt is told what came (docs/waiting.md).

    Like :class:`tasks.worker.snooze.Snooze` it passes ``autoretry_for``, and not an ``except Exception`` of the task's.

    Args:
        terms: what is waited for.

    Raises:
        ValueError: there is no such event to wait for, and no time; it would never end.
    """

    def __init__(self, terms: WaitTerms) -> None:
        if terms.event is None and terms.until is None:
            raise ValueError("a wait is for an event or until a time, and these terms have neither")
        if terms.event is not None and log_of(terms.event) is None:
            begins = ", ".join(sorted(WAITED_FOR))
            raise ValueError(f"{terms.event} cannot be waited for, only what begins with {begins}")
        self.terms = terms
        super().__init__(f"waits for {terms.event or terms.until}")

    def __reduce__(self) -> tuple[Any, ...]:
        """As Celery pickles its own: by what it was made of."""
        return type(self), (self.terms,)


def kept(following: OutgoingMessage, attempt: Attempt) -> dict[str, Any]:
    """What the log keeps of the message by which a waiting run will go on, as fields of ``task.wait_began``.

    Raises:
        ValueError: it is too large to be kept, or JSON cannot hold one of its headers.
    """
    try:
        msgspec.json.decode(following.body)
    except ValueError as error:
        raise ValueError(f"a message that is no JSON in UTF-8 cannot wait: {error}") from None
    headers = {name: value for name, value in (following.headers or {}).items() if name != "expires"}
    message = KeptMessage.of(
        following.body,
        {**headers, "expires": None},  # that is the time to be begun by; it has begun
        limit_bytes=KEPT_LIMIT_BYTES,
        content_type=following.content_type,
        content_encoding=following.content_encoding,
    )
    if message.body is None:
        raise ValueError(f"a message of {message.size_bytes} bytes cannot wait; allowed are {KEPT_LIMIT_BYTES}")
    if message.headers_left_out:
        raise ValueError(f"a message cannot wait with these headers: {', '.join(message.headers_left_out)}")
    root = attempt.envelope.root_id if attempt.envelope else None
    return {"message": message, "priority": following.priority, "root_id": root}
