"""A batch of replays as it is recorded, and the facts that follow from it for each of its letters. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import msgspec

from domain.cause import Cause, derived_run_id
from domain.dead_letter import LetterReplayed, ReplayRequested
from domain.task_run import SLOT_REQUESTED, TaskEvent, TaskRequested, run_stream
from infra.event_store import NewEvent, Recorded
from tasks.dead_letters.edit import Patch
from tasks.dead_letters.letter import Letter, Payload
from tasks.dead_letters.spans import replay_root


class Planned(NamedTuple):
    """What a replay of one letter would ask for."""

    payload: Payload
    patch: Patch


class Batch(NamedTuple):
    """A batch as it is recorded."""

    replay_id: UUID
    recorded: Recorded
    asked: ReplayRequested

    @property
    def actor(self) -> str:
        """Who asked for it."""
        return str(self.recorded.metadata.get("actor"))

    def new_run_id(self, letter: Letter) -> UUID:
        """The run that this batch asks for in the place of the dead one; the same every time."""
        return derived_run_id(self.replay_id, f"replay {letter.run_id}", self.asked.timestamp)

    def new_run_of(self, letter: Letter) -> str | None:
        """The run that this batch has asked for already, if it has."""
        mine = str(self.replay_id)
        found = (each for each in letter.decisions if isinstance(each, LetterReplayed) and each.replay_id == mine)
        return next((each.new_run_id for each in found), None)

    def events(self, letter: Letter, planned: Planned, *, at: datetime) -> list[NewEvent]:
        """That the letter is replayed, and the request for the new run: one cannot be without the other."""
        return [self._decision(letter, planned, at=at), self._request(letter, planned, at=at)]

    def _decision(self, letter: Letter, planned: Planned, *, at: datetime) -> NewEvent:
        decision = LetterReplayed(
            originator_id=run_stream(letter.run_id),
            originator_version=0,
            timestamp=at,
            task=letter.task,
            number=len(letter.decisions) + 1,
            reason=self.asked.reason,
            replay_id=str(self.replay_id),
            new_run_id=str(self.new_run_id(letter)),
            generation=letter.generation + 1,
            priority=self._priority(letter),
            patch=planned.patch,
        )
        return placed(decision, self._cause(letter, "replayed", because=self.recorded.event_id, at=at))

    def _request(self, letter: Letter, planned: Planned, *, at: datetime) -> NewEvent:
        request = TaskRequested(
            originator_id=run_stream(self.new_run_id(letter)),
            originator_version=SLOT_REQUESTED,
            timestamp=at,
            task=letter.task,
            args=planned.payload.args,
            kwargs=planned.payload.kwargs,
            tier=letter.tier.value,
            priority=self._priority(letter),
            license_id=letter.license_id,
            replay_of=letter.run_id,
            replay_id=str(self.replay_id),
            generation=letter.generation + 1,
            carried=planned.payload.carried,
        )
        cause = self._cause(letter, "requested", because=letter.fact.event_id, at=at)
        root = replay_root(str(self.new_run_id(letter)), letter.fact.metadata)
        return placed(request, msgspec.structs.replace(cause, traceparent=root.traceparent))

    def _priority(self, letter: Letter) -> int | None:
        return letter.priority if self.asked.priority is None else self.asked.priority

    def _cause(self, letter: Letter, purpose: str, *, because: UUID, at: datetime) -> Cause:
        known: dict[str, Any] = letter.fact.metadata
        return Cause(
            id=uuid5(self.replay_id, f"{letter.run_id}/{purpose}"),
            at=at,
            actor=self.actor,
            correlation_id=known.get("correlation_id") or letter.run_id,
            causation_id=str(because),
            traceparent=known.get("traceparent"),
            tenant=known.get("tenant"),
        )


def placed(event: TaskEvent, cause: Cause) -> NewEvent:
    """The event in its slot, as ``cause`` brings it about."""
    return NewEvent(
        msgspec.structs.replace(event, originator_version=event.slot()), cause.event_id(0), cause.metadata()
    )
