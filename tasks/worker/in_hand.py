"""What a worker has in hand: an attempt, its deliveries, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from infra.broker.frames import OutgoingMessage
from infra.cloudevents import CloudEvent
from infra.event_store.revocations import Revocation
from infra.tracing.span import Value
from tasks.worker.attempt import Attempt
from tasks.worker.delivery import Delivery
from tasks.worker.licenses import FollowedLicense
from tasks.worker.recorder import Entry
from tasks.worker.verdict import Fate


class Withheld(NamedTuple):
    """What another worker may be deciding about at this moment."""

    events: Sequence[CloudEvent]
    messages: Sequence[OutgoingMessage]


@dataclass(eq=False)
class InHand:
    """An attempt, the deliveries that wait for its outcome, and how far it is.

    Attributes:
        withheld: what is to be published in this one's place, and said, once it is certain that it is ours to replace.
        is_replaced: whether only this message is done with: the attempt goes on with a later message of its own.
        revocation: because of which what executes it was told to end.
        license: the license that decides about it, as it is followed.
        admitted_by: id of the event of that license because of which it was let in.
        span_attributes: what the task's own code has said of its attempt's span.
    """

    attempt: Attempt
    message: Any
    deliveries: list[Delivery]
    is_sent: bool = False
    is_started: bool = False
    started_at: datetime | None = None
    pid: int | None = None
    fate: Fate | None = None
    is_recorded: bool = False
    entry: Entry | None = None
    withheld: Withheld | None = None
    is_replaced: bool = False
    revocation: Revocation | None = None
    revoked_at: float | None = None
    license: FollowedLicense | None = None
    admitted_by: str | None = None
    span_attributes: Mapping[str, Value] | None = None
    let_go: Callable[[], None] | None = None
    """Gives back what it holds among all workers, once it is decided what becomes of it."""

    @property
    def is_redelivered(self) -> bool:
        """Whether somebody had it in hand before and never said what became of it."""
        return self.deliveries[0].is_redelivered
