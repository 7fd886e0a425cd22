"""The run of a task as the cause of what the task records."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from domain.cause import Cause

FOREIGN_NAMESPACE: Final = UUID("0192d7a5-8a30-7b14-9d05-666f72656967")
"""Namespace (RFC 9562, name-based UUIDs) for task ids that are no UUIDs; Celery takes any text."""


def run_cause(task: Any, *, at: datetime) -> Cause:
    """What the run that ``task`` (a bound Celery task) executes brings about is caused by that run.

    Its story, trace and tenant are those of the message; every attempt of a run is the same cause.
    """
    request = task.request
    return Cause(
        id=_uuid(str(request.id)),
        at=at,
        actor=f"task:{task.name}",
        correlation_id=request.get("ledgerq-correlation-id") or str(request.root_id or request.id),
        traceparent=request.get("traceparent"),
        tenant=request.get("ledgerq-tenant"),
    )


def attempt_number(task: Any) -> int:
    """Which attempt of its run ``task`` (a bound Celery task) executes, from 1."""
    return int(task.request.get("ledgerq-attempt") or task.request.retries + 1)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(FOREIGN_NAMESPACE, text)
