"""What became of an attempt, as a plain value.

The child that ran the task makes one of these, bounded in size and free of the task's own classes, so that reading it
in the worker's main process can neither fail nor run foreign code. What no child lived to tell, the main process says.
"""

from __future__ import annotations

from typing import Any, Final, Self

import msgspec

from domain.wait import WaitTerms

TEXT_LIMIT: Final = 2_000
"""Characters of a result or of an error's text that are recorded."""
TRACEBACK_LIMIT: Final = 8_000
"""Characters of a traceback that are recorded, its end: that is where the error is."""
TYPE_LIMIT: Final = 200
DEADLY: Final = (SystemExit, KeyboardInterrupt, MemoryError)
"""What a task raises where, outside a pool, its process would end; the attempt has died of it (:class:`Died`)."""


class Failure(msgspec.Struct, frozen=True):
    """An error in words: its class's name, its text, its traceback."""

    type: str
    text: str
    traceback: str | None = None

    @classmethod
    def of(cls, error: BaseException, traceback: str | None = None) -> Self:
        """``error`` in bounded words."""
        try:
            text = str(error)
        except Exception as unspeakable:  # noqa: BLE001  an error that cannot be put in words is still an error
            text = f"(its text cannot be had: {type(unspeakable).__name__})"
        return cls(cut(type(error).__name__, TYPE_LIMIT), cut(text), None if traceback is None else tail(traceback))


class Returned(msgspec.Struct, frozen=True):
    """The task returned; ``result`` is its value as JSON text, ``payload`` the same where ``result`` is cut."""

    result: str | None
    payload: bytes | None = None

    @classmethod
    def of(cls, text: str | None, *, payload_limit_bytes: int) -> Self:
        """The value whose JSON text this is; one of more bytes than the limit is recorded by its beginning alone."""
        if text is None or len(text) <= TEXT_LIMIT:
            return cls(text)
        whole = text.encode()
        return cls(cut(text), whole if len(whole) <= payload_limit_bytes else None)


class HandedOver(msgspec.Struct, frozen=True):
    """The task put another message in its place (Celery's ``self.replace``); the run ends with that one."""


class Resend(msgspec.Struct, frozen=True):
    """What ``self.retry()`` wants to be different about the next message; None: the same as before.

    Attributes:
        args: positional arguments as JSON text.
        kwargs: keyword arguments as JSON text.
        queue: name of the queue.
        priority: as asked, before the queue's limit.
        headers: headers to set.
    """

    args: str | None = None
    kwargs: str | None = None
    queue: str | None = None
    priority: int | None = None
    headers: dict[str, Any] = {}


class RetryAsked(msgspec.Struct, frozen=True):
    """The task itself asked for another attempt, and Celery's own limit allowed it."""

    failure: Failure
    delay_seconds: float | None
    """None: as the retry policy says."""
    resend: Resend = Resend()


class Snoozed(msgspec.Struct, frozen=True):
    """The task asked to be run again after ``delay_seconds``, at no cost to its budget."""

    failure: Failure
    delay_seconds: float


class Waiting(msgspec.Struct, frozen=True):
    """The task goes on once something has happened, or once a time has come."""

    terms: WaitTerms


class Raised(msgspec.Struct, frozen=True):
    """The task raised.

    Attributes:
        failure: what.
        final: whether another attempt would be pointless (a refusal, an exception listed as such).
        is_told: whether its error callbacks have been called.
    """

    failure: Failure
    final: bool = False
    is_told: bool = False


class Refused(msgspec.Struct, frozen=True):
    """The task raised Celery's ``Reject``; ``requeue``: it asked to be tried again."""

    failure: Failure
    requeue: bool = False


class Died(msgspec.Struct, frozen=True):
    """The process that ran the attempt died, or the task did what kills a process (SystemExit, MemoryError).

    Attributes:
        spent_by: ``worker_lost`` (a pool child), ``redelivered`` (a whole worker) or ``shutdown`` (we ended it).
        is_spared: whether that is not to count against the budget; then there is always another attempt.
    """

    failure: Failure
    spent_by: str = "worker_lost"
    is_spared: bool = False


class TimedOut(msgspec.Struct, frozen=True):
    """The hard time limit passed and the child was killed."""

    failure: Failure


class NotRun(msgspec.Struct, frozen=True):
    """The message was not, or no longer, to be executed.

    Attributes:
        name: how the run ends: ``task.rejected``, ``task.revoked`` or ``task.expired``.
        decided_by: id of the event of the run's license that decided it, where one did.
    """

    name: str
    failure: Failure
    decided_by: str | None = None


Unsuccessful = Raised | Refused | Died | TimedOut | NotRun
Outcome = Returned | HandedOver | RetryAsked | Snoozed | Waiting | Unsuccessful


class Annotated(msgspec.Struct, frozen=True):
    """An outcome, with the attributes that the task's code has set on the attempt's span."""

    outcome: Outcome
    attributes: dict[str, Any]


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """``text`` with at most ``limit`` characters of its beginning; what was cut is said. Always valid Unicode."""
    sound = text[: limit + 1].encode(errors="replace").decode()
    return sound if len(text) <= limit else f"{sound[:limit]}… (cut, {len(text)} characters in all)"


def tail(text: str, limit: int = TRACEBACK_LIMIT) -> str:
    """``text`` with at most ``limit`` characters of its end; what was cut is said. Always valid Unicode."""
    sound = text[-limit:].encode(errors="replace").decode()
    return sound if len(text) <= limit else f"(cut, {len(text)} characters in all) …{sound}"
