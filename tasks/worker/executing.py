"""What the lines say that are written in a child while it executes an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.tier import Tier
from tasks.worker.attempt import Attempt
from tasks.worker.envelope import MalformedMessageError, read_headers


def fields_of(task: str, run_id: str, request: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of the attempt that Celery executes.

    Args:
        task: its name.
        run_id: Celery's task id.
        request: the message's headers with what the worker added, as Celery's tracer gets them.
    """
    told = request or {}
    try:
        envelope = read_headers({**told, "task": task, "id": run_id})
    except MalformedMessageError:  # it was read once in the main process; what Celery added to it since is not ours
        return {"run_id": run_id, "task": task}
    key = (told.get("delivery_info") or {}).get("routing_key")
    # What came down the delay ladder has the ladder's key before the queue's.
    queue = next((tier.queue for tier in Tier if f".{key}".endswith(f".{tier.queue}")), None)
    return {**Attempt(run_id, envelope.attempt, task, "", "", envelope).fields(), "queue": queue}
