"""The message by which a run goes on whose wait has ended, or the run's end where nobody could send it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid5

import msgspec

from domain.task_run import TaskRejected, task_event
from domain.tier import TIER_OF_QUEUE, Tier
from domain.wait import TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut, WaitEnd
from infra.broker.delay import TASKS
from infra.broker.frames import OutgoingMessage, publish_frames
from infra.event_store import NewEvent, Recorded
from tasks.dispatch.causes import cause_of
from tasks.dispatch.error_callbacks import errbacks_in
from tasks.dispatch.subject import run_id_of

CAME: Final = "came"
"""The argument of a waiting step by which it is told how its wait ended."""
FRAME_MAX: Final = 131_072
"""RabbitMQ's default (``frame_max``)."""


def tier_of(event: TaskWaitBegan | WaitEnd) -> Tier:
    """The tier in which a run goes on: that in which it waited."""
    return TIER_OF_QUEUE.get(event.queue or "", Tier.NORMAL)


def resumption(began: TaskWaitBegan, end: WaitEnd) -> OutgoingMessage:
    """The message by which a run goes on, as it was kept, with what it is told.

    Raises:
        ValueError: nobody could send it; the text says why.
    """
    kept, run_id = began.message, run_id_of(began.originator_id)
    args, kwargs, embed = msgspec.json.decode(kept.body_bytes() or b"", type=tuple[list[Any], dict[str, Any], Any])
    message = OutgoingMessage(
        exchange=TASKS,
        routing_key=tier_of(began).queue,
        body=msgspec.json.encode([args, {**kwargs, CAME: _told(end)}, embed]),
        message_id=f"{run_id}/{began.attempt + 1}",
        content_type=kept.content_type or "application/json",
        content_encoding=kept.content_encoding,
        headers=kept.headers,
        priority=began.priority,
        correlation_id=run_id,
    )
    publish_frames(message, channel=1, frame_max=FRAME_MAX)  # found out here it costs its own run, and not a batch
    return message


def rejected(ended: Recorded, end: WaitEnd, began: TaskWaitBegan, *, reason: str) -> NewEvent:
    """The end of a run whose message was kept in a way that nobody can send.

    Args:
        ended: the end of its wait, in its envelope.
        end: the same.
        began: the wait.
        reason: why.
    """
    run_id, now = run_id_of(end.originator_id), datetime.now(UTC)
    why = {"error_type": "UnpublishableError", "error": reason, "errbacks": errbacks_in(began.message)}
    said = {"task": end.task, "attempt": end.attempt, **why}
    event = task_event(TaskRejected.TOPIC, run_id, at=now, data=said)
    metadata = cause_of(ended, actor="dispatch").metadata()
    return NewEvent(event, uuid5(ended.event_id, TaskRejected.TOPIC), metadata)


def _told(end: WaitEnd) -> dict[str, Any]:
    if isinstance(end, TaskWaitTimedOut):
        return {"timed_out": end.until.isoformat()}
    return {"event": msgspec.to_builtins(end.came) if isinstance(end, TaskWaitSatisfied) else None}
