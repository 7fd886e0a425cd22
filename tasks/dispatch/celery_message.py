"""An accepted run as a message that any Celery worker can read.

Source: the Celery documentation, "Message Protocol", version 2 (task metadata in headers, body
``[args, kwargs, embed]``). Written out here so that dispatch needs no Celery; a stock worker executes it (tested).
"""

from __future__ import annotations

import os
import socket
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.kept_message import Carried
from domain.task_run import TaskRequested, run_stream
from domain.tier import Tier
from infra.broker.delay import TASKS
from infra.broker.frames import OutgoingMessage
from infra.event_store import Recorded
from tasks.dispatch.spans import traceparent

TASK_NAME_LIMIT_BYTES: Final = 255
"""AMQP's short strings end here; names this long are mistakes."""
BODY_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""RabbitMQ 4 takes no larger message as it comes; an older one takes 128 MiB."""
REPR_CHARACTERS: Final = 1024
"""As much of the arguments as Celery shows in logs and in Flower."""
ORIGIN: Final = f"{os.getpid()}@{socket.gethostname()}"
EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
FIRST_ATTEMPT: Final = 1
NOTHING_CARRIED: Final = Carried()


class UnpublishableError(ValueError):
    """No broker could carry this run, however often it were tried; the text says why."""


def celery_message(requested: Recorded) -> OutgoingMessage:
    """The message that asks a worker for the run.

    Args:
        requested: a recorded ``task.requested``.

    Raises:
        UnpublishableError: the tier is unknown, the name too long, or the arguments too large.
    """
    event = requested.event
    if not isinstance(event, TaskRequested):
        raise TypeError(f"{event.name} asks for no run")
    tier = tier_of(event)
    carried = event.carried or NOTHING_CARRIED
    body = msgspec.json.encode((event.args, event.kwargs, {**EMBED, **carried.embed}))
    _refuse_over("arguments", len(body), BODY_LIMIT_BYTES)
    _refuse_over("task name", len(event.task.encode()), TASK_NAME_LIMIT_BYTES)
    run_id = event.originator_id.removeprefix(run_stream(""))
    return OutgoingMessage(
        exchange=TASKS,
        routing_key=tier.queue,
        body=body,
        content_type="application/json",
        content_encoding="utf-8",
        headers=_protocol_headers(event, run_id) | carried.headers | _own_headers(event, run_id, requested),
        message_id=str(requested.event_id),
        correlation_id=run_id,
        priority=tier.clamp(event.priority),
    )


def tier_of(event: TaskRequested) -> Tier:
    """The tier the run asks for.

    Raises:
        UnpublishableError: there is no such tier.
    """
    try:
        return Tier(event.tier)
    except ValueError:
        raise UnpublishableError(f"tier {event.tier!r} is none of {', '.join(Tier)}") from None


def _protocol_headers(event: TaskRequested, run_id: str) -> dict[str, Any]:
    return {
        "lang": "py",
        "task": event.task,
        "id": run_id,
        "root_id": run_id,
        "parent_id": None,
        "group": None,
        "group_index": None,
        "shadow": None,
        "retries": 0,
        "eta": None,
        "expires": _iso(event.expires_at),
        "timelimit": [None, None],
        "argsrepr": repr(event.args)[:REPR_CHARACTERS],
        "kwargsrepr": repr(event.kwargs)[:REPR_CHARACTERS],
        "origin": ORIGIN,
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }


def _own_headers(event: TaskRequested, run_id: str, requested: Recorded) -> dict[str, Any]:
    known = requested.metadata
    named = {
        "ledgerq-attempt": FIRST_ATTEMPT,
        "ledgerq-correlation-id": known.get("correlation_id"),
        "ledgerq-causation-id": str(requested.event_id),
        "ledgerq-license-id": event.license_id,
        "ledgerq-tenant": known.get("tenant"),
        "traceparent": traceparent(run_id, known),
    }
    return {name: value for name, value in named.items() if value is not None}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _refuse_over(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise UnpublishableError(f"{what}: {size} bytes, more than the {limit} that can be published")
