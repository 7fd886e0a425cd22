"""What may happen and why: pure, without I/O, clock or broker.

Importing this package makes the name of every event known; each process that reads events imports it first.
"""

from domain import (
    backpressure,
    blindness,
    dead_letter,
    failure_alert,
    fan_in,
    flow,
    heartbeat,
    hook,
    ingest,
    license,  # noqa: A004
    notice,
    schedule,
    session,
    session_denial,
    skip,
    task_run,
    unique_key,
    webhook,
    webhook_delivery,
)

__all__ = [
    "backpressure",
    "blindness",
    "dead_letter",
    "failure_alert",
    "fan_in",
    "flow",
    "heartbeat",
    "hook",
    "ingest",
    "license",
    "notice",
    "schedule",
    "session",
    "session_denial",
    "skip",
    "task_run",
    "unique_key",
    "webhook",
    "webhook_delivery",
]
