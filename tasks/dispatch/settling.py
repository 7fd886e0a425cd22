"""What is recorded of a fan-in that is settled: the request for its body, or the ends of the body's runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from uuid import uuid5

import msgspec

from domain.aggregate import Event
from domain.fan_in import SETTLED, Count, FanInCompleted, FanInDeclared, FanInFailed, fan_in_stream
from domain.kept_message import Carried
from domain.signature import errbacks_of, steps_of
from domain.task_run import (
    SLOT_REQUESTED,
    TaskEvent,
    TaskFailed,
    TaskFailure,
    TaskRequested,
    TaskRevoked,
    TaskStarted,
    run_stream,
    task_event,
)
from domain.tier import TIER_OF_QUEUE, Tier
from infra.event_store import Log, NewEvent, Recorded, Transaction
from infra.event_store import fan_ins as members
from infra.event_store.revocations import Revocation
from tasks.dispatch.causes import cause_of
from tasks.dispatch.outcomes import FIRST_ATTEMPT, caused_by
from tasks.dispatch.subject import run_id_of

ACTOR: Final = "policy:fan_in"
CONTINUE: Final = "continue_workflow"
"""The task that sends a body which is more than one task: that takes Celery."""
VALUES_LIMIT_BYTES: Final = 8_388_608
"""Of all the members' values as JSON text: they become one argument in one message, of which RabbitMQ takes 16 MiB."""
_EMBEDDED: Final = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}
"""Of Celery's message the third part, and which option of a signature each comes from."""
NOTHING: Final[Mapping[str, str]] = {}


class NotHandedOnError(Exception):
    """The body cannot be given its members' values: one was too long to be kept, or they are too long together."""


class Settling:
    """What is recorded of one fan-in that is settled.

    Args:
        transaction: in which it is recorded.
        fan_in_id: which.
        declared: its ``fan_in.declared``.
        count: its members by what became of them.
        at: the present, UTC.
        actor: who settles it.
    """

    def __init__(
        self,
        transaction: Transaction,
        fan_in_id: str,
        declared: Recorded,
        count: Count,
        *,
        at: datetime,
        actor: str = ACTOR,
    ) -> None:
        assert isinstance(declared.event, FanInDeclared)  # noqa: S101  that is what was looked for
        self._transaction = transaction
        self._fan_in_id = fan_in_id
        self.declared = declared.event
        self.correlation_id: str | None = declared.metadata.get("correlation_id")
        self._body: dict[str, Any] = declared.event.body
        self._count = count
        self._at = at
        self._cause = cause_of(declared, actor=actor)

    @cached_property
    def _places(self) -> list[members.Place]:
        return members.places(self._transaction.connection, self._fan_in_id)

    def complete(self) -> None:
        """Ask for the body.

        Raises:
            NotHandedOnError: it cannot be given the values.
        """
        good = [each.run_id for each in self._places if each.is_succeeded]
        requested = self._request(list(self._values(good)), self._like(good[0]))
        fact = FanInCompleted(
            originator_id=fan_in_stream(self._fan_in_id),
            originator_version=SETTLED,
            timestamp=self._at,
            succeeded=self._count.succeeded,
            failed=self._count.failed,
            run_id=run_id_of(requested.originator_id),
        )
        self._append(fact, requested)

    def fail(self, reason: str | None = None) -> bool:
        """Record that the body is never asked for; its runs have failed, for whoever waits for one.

        Returns:
            whether it is settled so; False where somebody else has settled it meanwhile.
        """
        why = reason or self._why()
        ends = ends_of_steps(self._body, TaskFailed, {"error_type": "ChordError", "error": why}, at=self._at)
        return self._append(self._failed(why), *ends)

    def revoke(self, revocation: Revocation) -> None:
        """Record that the body is never asked for because somebody took its story back; so are its runs."""
        ends = ends_of_steps(self._body, TaskRevoked, revocation.said(), at=self._at)
        self._append(self._failed(revocation.text), *ends, beside=caused_by(revocation))

    def _failed(self, reason: str) -> FanInFailed:
        return FanInFailed(
            originator_id=fan_in_stream(self._fan_in_id),
            originator_version=SETTLED,
            timestamp=self._at,
            succeeded=self._count.succeeded,
            failed=self._count.failed,
            reason=reason,
        )

    def _append(self, fact: Event, *following: Event, beside: Mapping[str, str] = NOTHING) -> bool:
        """Whether the fact is in its place; what follows from it is recorded only then."""
        metadata = {**self._cause.metadata(), **beside}
        new = [
            NewEvent(each, uuid5(self._cause.id, f"{each.TOPIC}/{n}"), metadata)
            for n, each in enumerate([fact, *following])
        ]
        [settled] = self._transaction.append_each(Log.TASKS, new[:1])
        if settled.outcome == "taken":
            return False
        self._transaction.append_each(Log.TASKS, new[1:])
        return True

    def _request(self, values: list[Any], like: TaskStarted | None) -> TaskRequested:
        body, options = self._body, self._body.get("options") or {}
        tier = TIER_OF_QUEUE.get(str(options.get("queue") or (like.queue if like else None)), Tier.NORMAL)
        priority = options.get("priority")
        args = body.get("args") or []
        simple = {
            "task": str(body["task"]),
            "args": tuple(args if body.get("immutable") else [values, *args]),
            "kwargs": dict(body.get("kwargs") or {}),
            "carried": Carried(embed={name: options.get(option) for name, option in _EMBEDDED.items()}),
        }
        several = {"task": CONTINUE, "kwargs": {"body": body, "values": values}}
        run_id = str(options["task_id"]) if not _is_canvas(body) else str(uuid5(self._cause.id, CONTINUE))
        return TaskRequested(
            originator_id=run_stream(run_id),
            originator_version=SLOT_REQUESTED,
            timestamp=self._at,
            tier=tier.value,
            priority=priority if priority is not None else (like.priority if like else None),
            license_id=like.license_id if like else None,
            **(several if _is_canvas(body) else simple),
        )

    def _values(self, run_ids: Sequence[str]) -> Iterator[Any]:
        size = 0
        for run_id, text in members.values(self._transaction.connection, run_ids):
            size += len(text or b"")
            if size > VALUES_LIMIT_BYTES:
                raise NotHandedOnError(f"the members' values take more than {VALUES_LIMIT_BYTES} bytes together")
            try:
                yield None if text is None else msgspec.json.decode(text)
            except msgspec.DecodeError:
                raise NotHandedOnError(
                    f"the value of run {run_id} is too long to be handed on (LEDGERQ_RESULT_PAYLOAD_LIMIT_BYTES)"
                ) from None

    def _like(self, run_id: str) -> TaskStarted | None:
        """Whose tier, priority and license the body has, where it says nothing."""
        story = self._transaction.load(Log.TASKS, [run_stream(run_id)]).get(run_stream(run_id), [])
        return next((each for each in story if isinstance(each, TaskStarted)), None)

    def _why(self) -> str:
        bad = next(each for each in self._places if each.is_succeeded is False)
        said = members.error_of(self._transaction.connection, bad.run_id)
        return f"{self._count.failed} of {self._count.total} members ended badly, first {bad.run_id}: {said}"[:2000]


def ends_of_steps(
    body: Mapping[str, Any], end: type[TaskFailure], said: Mapping[str, Any], *, at: datetime
) -> list[TaskEvent]:
    """The end of every run of a body that is never asked for; of one that failed with its error callbacks.

    Args:
        body: Celery's signature, frozen.
        end: what each comes to.
        said: ``error_type``, ``error`` and what else it says.
        at: the present, UTC.
    """
    uncalled = errbacks_of(body) if issubclass(end, TaskFailed) else {}
    told = [(each, {**said, "errbacks": uncalled.get(each.run_id, [])}) for each in steps_of(body)]
    return [
        task_event(end.TOPIC, step.run_id, at=at, data={"task": step.task, "attempt": FIRST_ATTEMPT, **its})
        for step, its in told
    ]


def _is_canvas(body: Mapping[str, Any]) -> bool:
    return body.get("subtask_type") is not None
