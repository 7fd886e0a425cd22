"""What has been stored, for the spans of it; noted only where tracing is on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from infra.event_store.envelope import NewEvent
from infra.event_store.log import Log
from infra.event_store.log_table import Appended
from infra.tracing import current, harmless
from infra.tracing.appending import tell_appended


class Stored:
    """Events that a transaction has stored; repeats of earlier ones are none of them."""

    def __init__(self) -> None:
        self.events: list[tuple[Log, NewEvent]] = []

    def note(self, log: Log, events: Sequence[NewEvent], appended: Appended) -> None:
        """Note what an append has stored."""
        outcomes = appended.outcomes or ["stored"] * len(events)
        self.events += [(log, new) for new, outcome in zip(events, outcomes, strict=False) if outcome == "stored"]


@contextmanager
def noted() -> Iterator[Stored | None]:
    """Around a transaction: its spans are told once it is committed; None where tracing is off."""
    tracer = current()
    if tracer is None:
        yield None
        return
    began, stored = datetime.now(UTC), Stored()
    yield stored
    with harmless:
        for log in Log:
            tell_appended(tracer, log.value, [new for of, new in stored.events if of is log], began=began)
