"""Runs that a fork asks for: what each was called with, as the log has it, under an id of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.chain import Step, TaskChainRecorded, anew, forked
from domain.fan_in import FanInDeclared
from domain.kept_message import Carried
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from domain.tier import TIER_OF_QUEUE, Tier
from tasks.app import BEGAN_AT
from tasks.dead_letters.letter import UnreplayableError, letter_of
from tasks.dispatch.settling import CONTINUE
from tasks.forks.records import Records
from tasks.forks.refusal import ForkRefusedError
from tasks.forks.workflow import Workflow


class Asking(NamedTuple):
    """One fork's requests.

    Attributes:
        records: of the log.
        fork: its id; those of its runs follow from it.
        at: the present, UTC.
    """

    records: Records
    fork: UUID
    at: datetime

    def step(self, workflow: Workflow, step: Step) -> TaskRequested:
        """A step that is one task, with what the one before it returned, and all steps behind it."""
        signature = forked(step.signature, self.fork)
        options = signature.get("options") or {}
        given = [] if step.number == 1 or signature.get("immutable") else [self._result_before(workflow, step)]
        embed = {
            "chain": self._behind(workflow, step),
            "callbacks": options.get("link") or None,
            "errbacks": options.get("link_error") or None,
            "chord": options.get("chord") or None,
        }
        called = {"args": (*given, *(signature.get("args") or ())), "kwargs": signature.get("kwargs") or {}}
        return self._request(step.run_id, step.task, called, embed, like=_like(workflow, options))

    def canvas(self, workflow: Workflow, step: Step) -> TaskRequested:
        """A step that is more than one task, sent anew by a worker, and all steps behind it."""
        told = {
            "body": forked(step.signature, self.fork),
            "values": self._result_before(workflow, step),
            "chain": self._behind(workflow, step),
        }
        run_id = f"{step.run_id}/{CONTINUE}"
        called = {"args": (), "kwargs": told}
        return self._request(run_id, CONTINUE, called, {}, like=_like(workflow, step.signature.get("options") or {}))

    def again(self, run_id: str) -> TaskRequested:
        """A run with what it was called with.

        Raises:
            ForkRefusedError: the log does not have that.
        """
        task, called, embed, like = self._called(run_id)
        return self._request(run_id, task, called, forked_parts(embed, self.fork), like=like)

    def _called(self, run_id: str) -> tuple[str, dict[str, Any], Mapping[str, Any], dict[str, Any]]:
        """Task, arguments, the third part of the message, and where to: by the worker, by us, or by a dead letter."""
        story = self.records.story(run_id)
        if (recorded := self.records.chain_of(run_id)) is not None:
            told = recorded.event
            assert isinstance(told, TaskChainRecorded)  # noqa: S101  it was found as one
            began = self.records.began(run_id)
            embed = {"chain": told.links[::-1], "callbacks": told.callbacks, "errbacks": told.errbacks}
            where = _where(_tier(told.queue), told.priority, began.license_id if began else None)
            return told.task, {"args": told.args, "kwargs": told.kwargs}, embed, where
        asked = next((each.event for each in story if isinstance(each.event, TaskRequested)), None)
        if asked is not None:
            where = _where(asked.tier, asked.priority, asked.license_id)
            known = asked.carried.embed if asked.carried else {}
            return asked.task, {"args": asked.args, "kwargs": asked.kwargs}, known, where
        letter = letter_of(run_id, story)
        if letter is None:
            raise ForkRefusedError(f"run {run_id} cannot be asked for again: what it was called with is not recorded")
        try:
            payload = letter.payload()
        except UnreplayableError as error:
            raise ForkRefusedError(f"run {run_id} cannot be asked for again: {error}") from error
        where = _where(letter.tier.value, letter.priority, letter.license_id)
        known = payload.carried.embed if payload.carried else {}
        return letter.task, {"args": payload.args, "kwargs": payload.kwargs}, known, where

    def _request(
        self,
        run_id: str,
        task: str,
        called: Mapping[str, Any],
        embed: dict[str, Any],
        *,
        like: Mapping[str, Any],
    ) -> TaskRequested:
        return TaskRequested(
            originator_id=run_stream(anew(run_id, self.fork)),
            originator_version=SLOT_REQUESTED,
            timestamp=self.at,
            task=task,
            carried=Carried(embed=embed, headers={BEGAN_AT: self.at.isoformat()}),
            **called,
            **like,
        )

    def _behind(self, workflow: Workflow, step: Step) -> list[Any] | None:
        rest = [forked(each.signature, self.fork) for each in workflow.steps[step.number :]]
        return rest[::-1] or None  # Celery takes the next one from the end

    def _result_before(self, workflow: Workflow, step: Step) -> Any:
        return self.records.value(workflow.steps[step.number - 2].run_id)


def forked_parts(embed: Mapping[str, Any], fork: UUID) -> dict[str, Any]:
    """The third part of a message as it is in a fork."""
    return {name: forked(each, fork) or None for name, each in embed.items()}


def _like(workflow: Workflow, options: Mapping[str, Any]) -> dict[str, Any]:
    """Where a step is asked for: as it says, else as the workflow began."""
    told = workflow.told.event
    first = [member[0] for member in told.members] if isinstance(told, FanInDeclared) else [workflow.root]
    began = next((found for run in first if (found := workflow.records.began(run)) is not None), None)
    queue = options.get("queue") or (began.queue if began else None)
    priority = options.get("priority")
    if priority is None and began is not None:
        priority = began.priority
    return _where(_tier(queue), priority, began.license_id if began else None)


def _where(tier: str, priority: int | None, license_id: str | None) -> dict[str, Any]:
    return {"tier": tier, "priority": priority, "license_id": license_id}


def _tier(queue: object) -> str:
    return TIER_OF_QUEUE.get(str(queue), Tier.NORMAL).value
