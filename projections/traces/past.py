"""What the log has of a run, as its spans are made of it: the run's events, and those that brought it about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.aggregate import Event
from domain.dead_letter import LetterReplayed
from domain.task_run import (
    AttemptEvent,
    TaskDeadLettered,
    TaskEnd,
    TaskPublished,
    TaskRequested,
    TaskStarted,
    order_of,
    run_stream,
)
from infra.event_store import EventStore, EventUnreadableError, Log, Recorded
from infra.event_store.mapper import EventMapper
from infra.events.reading import LogReader
from infra.tracing import Context, Story, ids

CAUSES_AT_MOST: Final = 16
"""How many events are gone back from a run to what brought it about."""
RUNS_AT_MOST: Final = 1_000
"""How many runs are looked at, with their replays and what brought them about."""
_TASK: Final = "task:"
"""How the actor begins where a task recorded something; the cause is then its run."""


class Fact(NamedTuple):
    """An event of a log, with what stands beside it."""

    log: Log
    event: Event
    event_id: UUID
    metadata: dict[str, Any]
    recorded_at: datetime

    @property
    def recorder(self) -> str | None:
        """The run whose task recorded it; None where it was no task."""
        is_task = str(self.metadata.get("actor", "")).startswith(_TASK)
        return str(self.metadata.get("causation_id")) if is_task else None

    @property
    def story(self) -> Story:
        """The trace it is in; what is asked for is always told, sampled or not."""
        return Story.of_metadata(self.metadata, ratio=1.0)._replace(is_sampled=True)


class PastRun:
    """A run as the log has it.

    Args:
        run_id: which.
        facts: its events, without those that are skipped.
        causes: what brought its request about, the nearest first, as far as that is in a log.
        replaced: the run in whose place it is, if that is in the log.
    """

    def __init__(
        self, run_id: str, facts: Sequence[Fact], *, causes: Sequence[Fact] = (), replaced: PastRun | None = None
    ) -> None:
        self.run_id = run_id
        self.facts = sorted(facts, key=lambda fact: order_of(fact.event.originator_version))
        self.causes = causes
        self.replaced = replaced

    @property
    def story(self) -> Story:
        """The trace that it was accepted in."""
        return self.facts[0].story

    @property
    def is_ended(self) -> bool:
        """Whether its end is recorded."""
        return any(isinstance(fact.event, TaskEnd | TaskDeadLettered) for fact in self.facts)

    @property
    def request(self) -> Fact | None:
        """Its acceptance; None where a worker told us of it."""
        return next((fact for fact in self.facts if isinstance(fact.event, TaskRequested)), None)

    @property
    def origin(self) -> str | None:
        """The run whose task recorded what brought this one about, as far back as the log has it."""
        first = self.causes[-1] if self.causes else self.request
        return first.recorder if first else None

    def attempt_at(self, moment: datetime) -> int | None:
        """The latest attempt that had begun by then; the first where none had, None where there is none."""
        started = [fact.event for fact in self.facts if isinstance(fact.event, TaskStarted)]
        begun = [event.attempt for event in started if event.timestamp <= moment]
        return max(begun, default=min(self.attempts, default=None))

    @property
    def replays(self) -> list[str]:
        """Runs that somebody had in its place."""
        return [fact.event.new_run_id for fact in self.facts if isinstance(fact.event, LetterReplayed)]

    @cached_property
    def attempts(self) -> dict[int, list[Fact]]:
        """What is told of each attempt, from 1, in order."""
        found: dict[int, list[Fact]] = {}
        for fact in self.facts:
            if isinstance(fact.event, AttemptEvent):
                found.setdefault(fact.event.attempt, []).append(fact)
        return dict(sorted(found.items()))

    def fact(self, kind: type[Event]) -> Fact | None:
        """The first event of a kind."""
        return next((fact for fact in self.facts if isinstance(fact.event, kind)), None)

    def above(self, story: Story) -> Context | None:
        """The span that the spans of attempts hang under which are in the trace of ``story``; None: they are roots.

        It is the publishing of the run, also where nothing was traced and its messages named no span.
        """
        if self.fact(TaskPublished) is not None and story.trace_id == self.story.trace_id:
            return story.at(ids.dispatched(self.run_id))
        return story.told._replace(is_sampled=True) if story.told else None


def past_runs(store: EventStore, reader: LogReader, run_ids: Sequence[str]) -> list[PastRun]:
    """The runs that are in the log, those that were had in their place, and those that brought them about, each once.

    Raises:
        DatabaseUnreachableError: the database cannot serve.
        EventUnreadableError: a newer version of the code wrote one of their events.
    """
    found: dict[str, PastRun] = {}
    wanted = list(run_ids)
    while wanted and len(found) < RUNS_AT_MOST:
        run_id = wanted.pop(0)
        if run_id not in found and (run := _past_run(store, reader, run_id)) is not None:
            found[run_id] = run
            wanted += [*run.replays, *([run.origin] if run.origin else [])]
    return list(found.values())


def _past_run(store: EventStore, reader: LogReader, run_id: str) -> PastRun | None:
    facts = _facts(store.load_counted(Log.TASKS, run_stream(run_id)))
    if not facts:
        return None
    run = PastRun(run_id, facts)
    request = run.request
    if request is None or not isinstance(request.event, TaskRequested):
        return run
    replaced = request.event.replay_of
    died = _facts(store.load_counted(Log.TASKS, run_stream(replaced))) if replaced else []
    before = PastRun(replaced, died) if replaced and died else None
    return PastRun(run_id, facts, causes=list(_causes(reader, request)), replaced=before)


def _facts(recorded: Sequence[Recorded]) -> list[Fact]:
    return [Fact(Log.TASKS, each.event, each.event_id, each.metadata, each.recorded_at) for each in recorded]


def _causes(reader: LogReader, fact: Fact) -> Iterator[Fact]:
    """What brought an event about, and what that, as far as it is in the same trace."""
    for _ in range(CAUSES_AT_MOST):
        cause = _cause(reader, fact)
        if cause is None or cause.story.trace_id != fact.story.trace_id:
            return
        yield cause
        fact = cause


def _cause(reader: LogReader, fact: Fact) -> Fact | None:
    try:
        causation = UUID(str(fact.metadata.get("causation_id")))
    except ValueError:
        return None
    for logged in reader.event(causation):
        row = logged.row
        named: dict[str, Any] = {"stream_id": row.stream_id, "version": row.version, "occurred_at": row.occurred_at}
        try:
            event = EventMapper().to_event(row.name, row.data, metadata=logged.metadata, **named)
        except EventUnreadableError:
            return None
        return Fact(logged.log, event, row.event_id, logged.metadata, row.recorded_at)
    return None
