"""What may happen and why: pure, without I/O, clock or broker.

Importing this package makes the name of every event known; each process that reads events imports it first.
"""

from domain import backpressure, heartbeat, ingest, license, schedule, session, task_run  # noqa: A004

__all__ = ["backpressure", "heartbeat", "ingest", "license", "schedule", "session", "task_run"]
