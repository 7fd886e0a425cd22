"""One attempt of a run, and what is said about it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from infra.cloudevents import CloudEvent
from infra.tracing.ids import attempted, trace_of
from tasks.worker.envelope import Envelope

SOURCE: Final = "ledgerq/worker"
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2."""


class Attempt(NamedTuple):
    """One try of a run, as a worker has it in hand.

    Attributes:
        run_id: Celery's task id.
        number: from 1.
        task: the task's name.
        queue: where its message came from.
        worker: who has it in hand.
        envelope: the message's headers; None where they could not be read.
        traceparent: the trace (W3C Trace Context), where that header alone could be read.
    """

    run_id: str
    number: int
    task: str
    queue: str
    worker: str
    envelope: Envelope | None = None
    traceparent: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What names it among all attempts."""
        return (self.run_id, self.number)

    @property
    def copy(self) -> int:
        """Which message of the attempt this one is; 0 is the first."""
        return self.envelope.copy if self.envelope else 0

    @property
    def returned(self) -> int:
        """How often a worker put its message back."""
        return self.envelope.returned if self.envelope else 0

    @property
    def correlation_id(self) -> str:
        """Names the whole story."""
        return self.envelope.correlation_id if self.envelope else self.run_id

    def fields(self) -> dict[str, Any]:
        """What a log line about it says of it (docs/logs.md)."""
        known = self.envelope
        correlation_id = self.correlation_id
        license_id = known.license_id if known else None
        return {
            "run_id": self.run_id,
            "task": self.task,
            "attempt": self.number,
            "queue": self.queue,
            "correlation_id": correlation_id,
            "trace_id": trace_of(known.traceparent if known else self.traceparent, correlation_id),
            "span_id": attempted(self.run_id, self.number),
            **({"license_id": license_id} if license_id else {}),
        }

    def is_later_than(self, other: Attempt) -> bool:
        """Whether its message was published after that of ``other``, which is the same attempt."""
        return (self.copy, self.returned) > (other.copy, other.returned)

    @property
    def spared(self) -> int:
        """How many of the attempts before it did not count against the budget."""
        return self.envelope.spared if self.envelope else 0

    def tell(self, name: str, *, at: datetime, **told: Any) -> CloudEvent:
        """The lifecycle event ``name``; the same attempt and name give the same id, so repeats are recognized.

        What spent an attempt is part of the id too: two workers may differ about it, and one of them comes too late.

        Args:
            name: stored name (``task.started``).
            at: when it occurred.
            told: the event's own fields beside those every event of an attempt has.
        """
        fields = {"task": self.task, "attempt": self.number, "queue": self.queue, "worker": self.worker, **told}
        said = {key: value for key, value in fields.items() if value is not None}
        return CloudEvent(
            specversion="1.0",
            id="/".join(filter(None, (self.run_id, str(self.number), name, told.get("spent_by")))),
            source=SOURCE,
            type=name,
            time=at,
            subject=self.run_id,
            actor=self.worker,
            data=msgspec.Raw(msgspec.json.encode({"run_id": self.run_id, **said})),
            **self._context(),
        )

    def _context(self) -> dict[str, Any]:
        if self.envelope is None:
            trace = {"traceparent": self.traceparent} if self.traceparent else {}
            return {"correlationid": self.run_id, **trace}
        given = {
            "correlationid": self.envelope.correlation_id,
            "causationid": self.envelope.causation_id,
            "traceparent": self.envelope.traceparent,
            "tracestate": self.envelope.tracestate,
            "tenant": self.envelope.tenant,
        }
        return {name: value for name, value in given.items() if value}
