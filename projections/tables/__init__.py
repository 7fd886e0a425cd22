"""The tables of schema ``read_model``, as the code knows them.

The migrations own them (checks, indexes, storage); a test compares the two. Only ``parked_events`` and the usage tables
are no projection's: everything else can be emptied and built again from the log.
"""

from __future__ import annotations

from projections.tables.columns import METADATA, SCHEMA
from projections.tables.heartbeat_minutes import HEARTBEAT_MINUTES, HEARTBEAT_MINUTES_UNCLAIMED
from projections.tables.letters import DEAD_LETTERS, INGEST_DEAD_LETTERS, REPLAYED_RUNS, REPLAYS
from projections.tables.licenses import LICENSE_CHANGES, LICENSE_ENTITLEMENTS, LICENSES, SEAT_DENIALS
from projections.tables.notices import NOTICES
from projections.tables.parked import PARKED_EVENTS
from projections.tables.runs import FOLDED_REQUESTS, TASK_ATTEMPTS, TASK_RUNS
from projections.tables.schedules import SCHEDULE_FIRINGS, SCHEDULES
from projections.tables.sessions import BLIND_WINDOWS, LOG_TIME, SESSION_LAPSES, SESSION_RETURNS, SESSIONS
from projections.tables.usage import USAGE_CHANGES, USAGE_DAILY, USAGE_HOURLY, USAGE_PROGRESS
from projections.tables.webhooks import WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS
from projections.tables.workflows import WORKFLOW_STEPS, WORKFLOWS

__all__ = [
    "BLIND_WINDOWS",
    "DEAD_LETTERS",
    "FOLDED_REQUESTS",
    "HEARTBEAT_MINUTES",
    "HEARTBEAT_MINUTES_UNCLAIMED",
    "INGEST_DEAD_LETTERS",
    "LICENSES",
    "LICENSE_CHANGES",
    "LICENSE_ENTITLEMENTS",
    "LOG_TIME",
    "METADATA",
    "NOTICES",
    "PARKED_EVENTS",
    "REPLAYED_RUNS",
    "REPLAYS",
    "SCHEDULES",
    "SCHEDULE_FIRINGS",
    "SCHEMA",
    "SEAT_DENIALS",
    "SESSIONS",
    "SESSION_LAPSES",
    "SESSION_RETURNS",
    "TASK_ATTEMPTS",
    "TASK_RUNS",
    "USAGE_CHANGES",
    "USAGE_DAILY",
    "USAGE_HOURLY",
    "USAGE_PROGRESS",
    "WEBHOOK_DELIVERIES",
    "WEBHOOK_ENDPOINTS",
    "WORKFLOWS",
    "WORKFLOW_STEPS",
]
