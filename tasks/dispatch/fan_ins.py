"""The follower that counts the ends of fan-ins' members, and asks for the body once enough have succeeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

import msgspec
import structlog

from domain.fan_in import (
    SETTLED,
    Count,
    FanInCompleted,
    FanInDeclared,
    FanInFailed,
    Standing,
    fan_in_stream,
    standing,
)
from domain.kept_message import Carried
from domain.run import END_NAMES
from domain.task_run import SLOT_END, SLOT_REQUESTED, TaskEvent, TaskFailed, TaskRequested, TaskStarted, run_stream
from domain.task_run import TaskSucceeded as Succeeded
from domain.tier import Tier
from infra.event_store import EventStore, Log, NewEvent, Page, Recorded, Transaction
from infra.event_store import fan_ins as members
from infra.event_store.payloads import kept
from tasks.dispatch.causes import cause_of
from tasks.dispatch.place import Place
from tasks.dispatch.subject import run_id_of
from tasks.workflows.steps import steps_of

FOLLOWER: Final = "dispatch.fan_ins"
NAMES: Final = (FanInDeclared.TOPIC, *sorted(END_NAMES))
ACTOR: Final = "policy:fan_in"
CONTINUE: Final = "continue_workflow"
"""The task that sends a body which is more than one task: that takes Celery."""
_TIER_OF_QUEUE: Final = {tier.queue: tier for tier in Tier}
_EMBEDDED: Final = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}
"""Of Celery's message the third part, and which option of a signature each comes from."""

log = structlog.get_logger(__name__)


class ValueNotKeptError(Exception):
    """A member's value was too long to be kept, so the body cannot be given it."""


class FanInFollower:
    """Counts each end once, in the transaction that moves its checkpoint.

    Args:
        store: the log.
        clock: the present, UTC.
        page_events: most events of one look.
    """

    def __init__(self, store: EventStore, *, clock: Callable[[], datetime], page_events: int) -> None:
        self._store = store
        self._clock = clock
        self._page_events = page_events
        self.place = Place(FOLLOWER, Log.TASKS)

    def take_over(self) -> None:
        """Begin where the last one stopped."""
        with self._store.transaction() as transaction:
            self.place.load(transaction.connection)

    def step(self) -> bool:
        """Count what one page tells; whether there was anything.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        page = self._store.read(Log.TASKS, after=self.place.position, limit=self._page_events, names=NAMES)
        for unreadable in page.unreadable:
            log.error("no fan-in can count this event", event=unreadable)
        if not page.events:
            self.place.position = page.position
            return False
        with self._store.transaction() as transaction:
            self._count(transaction, page)
            self.place.store(transaction, to=page.position)
        self.place.stored(page.position)
        return True

    def note_position(self) -> None:
        """Write down how far this has looked, if the store does not know."""
        if self.place.is_ahead:
            position = self.place.position
            with self._store.transaction() as transaction:
                self.place.store(transaction, to=position)
            self.place.stored(position)

    def _count(self, transaction: Transaction, page: Page) -> None:
        ends = {run_id_of(each.event.originator_id): each for each in page.events if each.event.TOPIC in END_NAMES}
        names = {run: each.event.TOPIC for run, each in ends.items()}
        for each in page.events:
            if isinstance(each.event, FanInDeclared):
                told = each.event
                fan_in_id = told.originator_id.removeprefix(fan_in_stream(""))
                members.note_members(transaction.connection, fan_in_id, told.members)
                # Of those that ended before it was declared nobody will be told again.
                names |= members.ends_of(transaction.connection, {run for links in told.members for run in links})
        news = members.note_ends(transaction.connection, {run: name == Succeeded.TOPIC for run, name in names.items()})
        for fan_in_id, count in members.counts(transaction.connection, sorted(news)).items():
            self._settle(transaction, fan_in_id, count)

    def _settle(self, transaction: Transaction, fan_in_id: str, count: Count) -> None:
        stream = fan_in_stream(fan_in_id)
        story = transaction.load_recorded(Log.TASKS, [stream]).get(stream, [])
        declared = next((each for each in story if isinstance(each.event, FanInDeclared)), None)
        if declared is None or len(story) > 1 or not isinstance(declared.event, FanInDeclared):
            return  # it is settled; this member comes late
        came_to = standing(count, declared.event.least)
        if came_to is Standing.OPEN:
            return
        settling = _Settling(transaction, fan_in_id, declared, count, at=self._clock())
        if came_to is Standing.FAILED:
            settling.fail()
            return
        try:
            settling.complete()
        except ValueNotKeptError as error:
            settling.fail(str(error))


class _Settling:
    """What is recorded of one fan-in that is settled."""

    def __init__(
        self,
        transaction: Transaction,
        fan_in_id: str,
        declared: Recorded,
        count: Count,
        *,
        at: datetime,
    ) -> None:
        assert isinstance(declared.event, FanInDeclared)  # noqa: S101  that is what was looked for
        self._transaction = transaction
        self._fan_in_id = fan_in_id
        self._body: dict[str, Any] = declared.event.body
        self._count = count
        self._at = at
        self._cause = cause_of(declared, actor=ACTOR)
        self._places = members.places(transaction.connection, fan_in_id)

    def complete(self) -> None:
        """Ask for the body.

        Raises:
            ValueNotKeptError: it cannot be given a value.
        """
        good = [each.run_id for each in self._places if each.is_succeeded]
        stories = self._transaction.load(Log.TASKS, [run_stream(run) for run in good])
        values = [self._value(run, stories[run_stream(run)]) for run in good]
        like = next((e for e in stories[run_stream(good[0])] if isinstance(e, TaskStarted)), None) if good else None
        requested = self._request(values, like)
        fact = FanInCompleted(
            originator_id=fan_in_stream(self._fan_in_id),
            originator_version=SETTLED,
            timestamp=self._at,
            succeeded=self._count.succeeded,
            failed=self._count.failed,
            run_id=run_id_of(requested.originator_id),
        )
        self._append(fact, requested)

    def fail(self, reason: str | None = None) -> None:
        """Record that the body is never asked for; its runs have failed, for whoever waits for one."""
        why = reason or self._why()
        fact = FanInFailed(
            originator_id=fan_in_stream(self._fan_in_id),
            originator_version=SETTLED,
            timestamp=self._at,
            succeeded=self._count.succeeded,
            failed=self._count.failed,
            reason=why,
        )
        ends = [
            TaskFailed(
                originator_id=run_stream(step.run_id),
                originator_version=SLOT_END,
                timestamp=self._at,
                task=step.task,
                attempt=1,
                error_type="ChordError",
                error=why,
            )
            for step in steps_of(self._body)
        ]
        self._append(fact, *ends)

    def _append(self, *facts: Any) -> None:
        metadata = self._cause.metadata()
        new = [NewEvent(fact, uuid5(self._cause.id, f"{fact.TOPIC}/{n}"), metadata) for n, fact in enumerate(facts)]
        self._transaction.append_each(Log.TASKS, new)

    def _request(self, values: list[Any], like: TaskStarted | None) -> TaskRequested:
        body, options = self._body, self._body.get("options") or {}
        tier = _TIER_OF_QUEUE.get(str(options.get("queue") or (like.queue if like else None)), Tier.NORMAL)
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

    def _value(self, run_id: str, story: list[Any]) -> Any:
        end = next((each for each in story if isinstance(each, Succeeded)), None)
        if end is None or end.result is None:
            return None
        whole = kept(self._transaction.connection, run_id)
        try:
            return msgspec.json.decode(end.result if whole is None else whole)
        except msgspec.DecodeError:
            raise ValueNotKeptError(
                f"the value of run {run_id} is too long to be handed on (LEDGERQ_RESULT_PAYLOAD_LIMIT_BYTES)"
            ) from None

    def _why(self) -> str:
        bad = next(each for each in self._places if each.is_succeeded is False)
        stream = run_stream(bad.run_id)
        told = [e for e in self._transaction.load(Log.TASKS, [stream]).get(stream, []) if e.TOPIC in END_NAMES]
        end = next((each for each in told if isinstance(each, TaskEvent)), None)
        said = f"{getattr(end, 'error_type', 'ended')}: {getattr(end, 'error', '')}"
        return f"{self._count.failed} of {self._count.total} members ended badly, first {bad.run_id}: {said}"[:2000]


def _is_canvas(body: Mapping[str, Any]) -> bool:
    return body.get("subtask_type") is not None
