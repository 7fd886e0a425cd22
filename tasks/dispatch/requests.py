"""What the policies ask for, as events of the tasks log. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid5

from domain.cause import derived_run_id
from domain.policies import RequestTask, decide
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from infra.event_store import NewEvent, Recorded
from tasks.dispatch.causes import cause_of


def requested_by(recorded: Recorded, *, at: datetime) -> list[NewEvent]:
    """The runs that the policies ask for because of one stored event; the same ones every time it is looked at.

    Args:
        recorded: the event.
        at: when the runs are accepted, UTC.
    """
    return [_request(command, recorded, at=at) for command in decide(recorded.event)]


def _request(command: RequestTask, recorded: Recorded, *, at: datetime) -> NewEvent:
    cause = cause_of(recorded, actor=f"policy:{command.purpose}")
    event = TaskRequested(
        originator_id=run_stream(derived_run_id(cause.id, command.purpose, cause.at)),
        originator_version=SLOT_REQUESTED,
        timestamp=at,
        task=command.task,
        kwargs=command.kwargs,
        tier=command.tier.value,
        priority=command.priority,
        license_id=command.license_id,
    )
    # By purpose and not by ordinal: a policy that is added later must not change the ids of the others' requests.
    return NewEvent(event, uuid5(cause.id, command.purpose), cause.metadata())
