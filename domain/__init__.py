"""What may happen and why: pure, without I/O, clock or broker.

Importing this package makes the name of every event known; each process that reads events imports it first.
"""

from domain import (
    backpressure,
    blindness,
    chain,
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
    signal,
    skip,
    story,
    task_group,
    task_run,
    unique_key,
    wait,
    webhook,
    webhook_delivery,
)

__all__ = [
    "backpressure",
    "blindness",
    "chain",
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
    "signal",
    "skip",
    "story",
    "task_group",
    "task_run",
    "unique_key",
    "wait",
    "webhook",
    "webhook_delivery",
]
