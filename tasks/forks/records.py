"""What the log has of runs and fan-ins, read once each while a fork is planned."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec

from domain.chain import TaskChainRecorded
from domain.fan_in import FanInCompleted, FanInDeclared, FanInFailed, fan_in_stream
from domain.run import RunState, TaskRun
from domain.task_run import TaskEvent, TaskStarted, TaskSucceeded, run_stream
from infra.event_store import EventStore, Log, Recorded
from infra.event_store.fan_ins import fan_in_told_by, fan_ins_of
from infra.event_store.payloads import kept
from tasks.dispatch.settling import CONTINUE
from tasks.forks.refusal import ForkRefusedError
from tasks.worker.outcome import TEXT_LIMIT


class Records:
    """Used while one fork is planned: what it has read it does not read again.

    Args:
        store: with the log.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._streams: dict[str, list[Recorded]] = {}

    def load(self, run_ids: Collection[str]) -> None:
        """Read many runs by one question."""
        self._load({run_stream(each) for each in run_ids})

    def story(self, run_id: str) -> list[Recorded]:
        """All that is recorded of a run."""
        return self._stream(run_stream(run_id))

    def state(self, run_id: str) -> RunState | None:
        """Where a run is; None: nothing is recorded of it."""
        story = [each.event for each in self.story(run_id) if isinstance(each.event, TaskEvent)]
        return TaskRun.fold(story).state if story else None

    def combined(self, run_ids: Collection[str]) -> RunState | None:
        """Where several runs are as one: the first bad end, else what has not ended; None: not begun."""
        states = [self.state(each) for each in run_ids]
        bad = next((state for state in states if has_failed(state)), None)
        open_ = [state for state in states if state is None or not state.is_end]
        return bad or (open_[0] if open_ else RunState.SUCCEEDED) if states else None

    def chain_of(self, run_id: str) -> Recorded | None:
        """The ``task.chain_recorded`` of a run that is the first of a chain, or a member of a chord."""
        return next((each for each in self.story(run_id) if isinstance(each.event, TaskChainRecorded)), None)

    def began(self, run_id: str) -> TaskStarted | TaskChainRecorded | None:
        """Where a run began, and for which license; of one that nobody began what its worker told of its message."""
        told = [each.event for each in self.story(run_id)]
        started = next((each for each in told if isinstance(each, TaskStarted)), None)
        return started or next((each for each in told if isinstance(each, TaskChainRecorded)), None)

    def declared(self, fan_in_id: str) -> Recorded | None:
        """The ``fan_in.declared`` of a fan-in."""
        found = (each for each in self._stream(fan_in_stream(fan_in_id)) if isinstance(each.event, FanInDeclared))
        return next(found, None)

    def settled(self, fan_in_id: str) -> FanInCompleted | FanInFailed | None:
        """What became of a fan-in; None: it is open."""
        told = (each.event for each in self._stream(fan_in_stream(fan_in_id)))
        return next((each for each in told if isinstance(each, (FanInCompleted, FanInFailed))), None)

    def fan_ins_around(self, run_id: str) -> list[str]:
        """The fan-ins of its story that a run is a member of."""
        story = self.story(run_id)
        if not story:
            return []
        own = str(story[0].metadata.get("correlation_id"))
        with self._store.transaction() as transaction:
            return fan_ins_of(transaction.connection, run_id, story=own)

    def fan_in_before(self, run_id: str) -> str | None:
        """The fan-in whose body a run begins, or would have begun."""
        story = self.story(run_id)
        cause = str(story[0].metadata.get("causation_id")) if story else ""
        sender = self.story(cause) if cause else []  # what a body of several tasks is sent by
        if sender and isinstance(sender[0].event, TaskEvent) and sender[0].event.task == CONTINUE:
            cause = str(sender[0].metadata.get("causation_id"))
        try:
            event_id = UUID(cause)
        except ValueError:
            return None
        with self._store.transaction() as transaction:
            return fan_in_told_by(transaction.connection, event_id)

    def value(self, run_id: str) -> Any:
        """What a run that succeeded returned; raises what :meth:`text` does."""
        text = self.text(run_id)
        return None if text is None else msgspec.json.decode(text)

    def text(self, run_id: str) -> bytes | None:
        """What a run that succeeded returned, as JSON text; None: nothing.

        Raises:
            ForkRefusedError: it has not succeeded, or its value was too long for the log and is not kept any more.
        """
        ends = (each.event for each in self.story(run_id) if isinstance(each.event, TaskSucceeded))
        end = next(ends, None)
        if end is None:
            raise ForkRefusedError(f"run {run_id} has no result to go on with")
        if end.result is None:
            return None
        if len(end.result) <= TEXT_LIMIT:
            return end.result.encode()
        with self._store.transaction() as transaction:
            whole = kept(transaction.connection, run_id)
        if whole is None:
            text = f"the result of run {run_id} ({end.task}) is longer than what the log keeps of one"
            raise ForkRefusedError(f"{text}, and not kept beside it any more; fork from there or before")
        return whole

    def _stream(self, stream: str) -> list[Recorded]:
        self._load({stream})
        return self._streams[stream]

    def _load(self, streams: set[str]) -> None:
        new = streams - self._streams.keys()
        if new:
            self._streams |= {each: [] for each in new} | self._store.load_recorded(Log.TASKS, new)


def has_failed(state: RunState | None) -> bool:
    """Whether it is an end, and no good one."""
    return state is not None and state.is_end and state is not RunState.SUCCEEDED
