"""What the policies ask for, as events of the tasks log. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from domain.cause import Cause, derived_run_id
from domain.policies import RequestTask, decide
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from infra.event_store import NewEvent, Recorded
from tasks.dispatch.causes import cause_of

ONCE_NAMESPACE: Final = UUID("0192d7a5-b3c1-7f0c-8d21-6f6e63657065")
"""Namespace (RFC 9562, name-based UUIDs) of what is asked for once in a window."""
OLDEST: Final = timedelta(hours=24)
"""A fact older than that asks for nothing that is to be told once in a window: it would be no news."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def requested_by(recorded: Recorded, *, at: datetime, window: timedelta | None = None) -> list[NewEvent]:
    """The runs that the policies ask for because of one stored event; the same ones every time it is looked at.

    Args:
        recorded: the event.
        at: when the runs are accepted, UTC.
        window: length of the windows in each of which some commands count once; None: those are not carried out.
    """
    requests = []
    for command in decide(recorded.event):
        if not isinstance(command, RequestTask):
            continue
        if command.once_by is None:
            requests.append(request_of(command, recorded, at=at))
        elif window is not None and at - recorded.event.timestamp < OLDEST:
            requests.append(_request(command, recorded, _once(command, recorded, window), at=at))
    return requests


def request_of(command: RequestTask, recorded: Recorded, *, at: datetime) -> NewEvent:
    """The run that ``command`` asks for because of one stored event, under ids that follow from event and purpose."""
    return _request(command, recorded, _of_its_own(command, recorded), at=at)


class _Identity(NamedTuple):
    """What a run and its request are called, and what the task is told beside the command's own arguments."""

    run_id: UUID
    event_id: UUID
    kwargs: dict[str, Any]


def _of_its_own(command: RequestTask, recorded: Recorded) -> _Identity:
    # By purpose and not by ordinal: a policy that is added later must not change the ids of the others' requests.
    cause = recorded.event_id
    return _Identity(
        derived_run_id(cause, command.purpose, recorded.event.timestamp), uuid5(cause, command.purpose), {}
    )


def _once(command: RequestTask, recorded: Recorded, window: timedelta) -> _Identity:
    """The same for every fact of a window: the log takes the first one's request, and the others are repeats of it."""
    began = EPOCH + (recorded.event.timestamp - EPOCH) // window * window
    name = uuid5(ONCE_NAMESPACE, f"{command.purpose}/{command.once_by}/{began.isoformat()}")
    told = {"window_start": began.isoformat(), "window_seconds": window.total_seconds()}
    return _Identity(derived_run_id(name, command.purpose, began), uuid5(name, command.purpose), told)


def _request(command: RequestTask, recorded: Recorded, identity: _Identity, *, at: datetime) -> NewEvent:
    cause: Cause = cause_of(recorded, actor=f"policy:{command.purpose}")
    event = TaskRequested(
        originator_id=run_stream(identity.run_id),
        originator_version=SLOT_REQUESTED,
        timestamp=at,
        task=command.task,
        kwargs={**command.kwargs, **identity.kwargs},
        tier=command.tier.value,
        priority=command.priority,
        license_id=command.license_id,
    )
    return NewEvent(event, identity.event_id, cause.metadata())
