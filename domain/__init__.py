"""What may happen and why: pure, without I/O, clock or broker.

Importing this package makes the name of every event known; each process that reads events imports it first.
"""

from domain import (
    backpressure,
    blindness,
    chain,
    dead_letter,
    failure_alert,
    flow,
    heartbeat,
    ingest,
    license,  # noqa: A004
    notice,
    schedule,
    session,
    session_denial,
    signal,
    skip,
    task_run,
    unique_key,
    wait,
)

__all__ = [
    "backpressure",
    "blindness",
    "chain",
    "dead_letter",
    "failure_alert",
    "flow",
    "heartbeat",
    "ingest",
    "license",
    "notice",
    "schedule",
    "session",
    "session_denial",
    "signal",
    "skip",
    "task_run",
    "unique_key",
    "wait",
]
