"""Holds: a message whose time has come and that has to wait all the same, as the same attempt, again and again.

Its header says which attempt was held, why and how often, so that the log hears of it once and not at every turn.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from domain.task_run import HoldReason
from infra.broker.frames import OutgoingMessage
from infra.cloudevents import CloudEvent
from tasks.worker.attempt import Attempt

HEADER: Final = "ledgerq-held"


def times_held(attempt: Attempt, because: HoldReason) -> int:
    """How often the attempt was held for this reason, without another in between."""
    header = attempt.envelope.held_header if attempt.envelope else None
    match (header or "").split("/"):
        case [number, reason, times] if number == str(attempt.number) and reason == because and times.isdecimal():
            return int(times)
        case _:
            return 0


def was_held(attempt: Attempt, because: HoldReason) -> bool:
    """Whether the log has heard that the attempt is held for this reason."""
    return times_held(attempt, because) > 0


def held(event: CloudEvent, because: HoldReason) -> CloudEvent:
    """The event that tells it, under an id that tells the reasons apart."""
    return replace(event, id=f"{event.id}/{because}")


def marked_held(message: OutgoingMessage, attempt: Attempt, because: HoldReason) -> OutgoingMessage:
    """The message, saying that it was held once more."""
    mark = f"{attempt.number}/{because}/{times_held(attempt, because) + 1}"
    return replace(message, headers={**message.headers, HEADER: mark})
