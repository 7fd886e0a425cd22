"""Every metric there is, by the process that shows it. ``docs/reference/metrics.md`` is written from this."""

from __future__ import annotations

from typing import Final

from infra.metrics.metric import MOMENTS, SIZES, WAITS, WORK, Metric, counter, gauge, histogram
from infra.process_name import ProcessName

OTHER: Final = "other"
"""In the place of a task's name that no worker knows: names come from messages, and labels must be few."""


LEADS: Final = gauge("ledgerq_leader", "1 while this process leads, 0 while it stands by.", "leadership")

INGEST_MESSAGES: Final = counter("ledgerq_ingest_messages_total", "Messages stored, rejected ones included.", "queue")
INGEST_REJECTED: Final = counter(
    "ledgerq_ingest_rejected_total", "Messages, or elements of them, that ended in ingest.dead.", "reason"
)
INGEST_BATCH: Final = histogram(
    "ledgerq_ingest_batch_messages", "Messages stored in one transaction.", "queue", bounds=SIZES
)
INGEST_APPEND: Final = histogram(
    "ledgerq_ingest_append_seconds", "Reading, deciding on and committing one batch.", "queue", bounds=MOMENTS
)
INGEST_AGE: Final = histogram(
    "ledgerq_ingest_age_seconds",
    "Age of a batch's first event at its commit, by its sender's clock; one observation per batch.",
    bounds=WAITS,
)
INGEST_OUTAGES: Final = counter(
    "ledgerq_ingest_outages_total", "Times ingest met that the broker or the database was away.", "away"
)
DEAD_LETTERS: Final = counter(
    "ledgerq_dead_letters_total",
    "Dead letters of tasks that were recorded, by why they died.",
    "reason",
)

DISPATCH_ACCEPTED: Final = counter("ledgerq_dispatch_accepted_total", "Runs that policies asked for and were stored.")
DISPATCH_PUBLISHED: Final = counter("ledgerq_dispatch_published_total", "Runs the broker confirmed.", "tier")
DISPATCH_LEFT: Final = counter(
    "ledgerq_dispatch_left_total", "Runs the broker did not confirm; they are tried again, and count each time.", "tier"
)
DISPATCH_WAIT: Final = histogram(
    "ledgerq_dispatch_wait_seconds", "From a run's acceptance to the broker's confirm.", "tier", bounds=WAITS
)
DISPATCH_APPEND: Final = histogram(
    "ledgerq_dispatch_append_seconds", "Storing what became of one page of runs.", bounds=MOMENTS
)
DISPATCH_HELD: Final = gauge("ledgerq_dispatch_held", "1 while the tier's queue is full and its runs wait.", "tier")

ATTEMPTS_STARTED: Final = counter("ledgerq_attempts_started_total", "Attempts a child began.", "task", "tier")
ATTEMPTS: Final = counter("ledgerq_attempts_total", "Attempts that came to an outcome.", "task", "tier", "outcome")
ATTEMPT_DURATION: Final = histogram(
    "ledgerq_attempt_duration_seconds", "How long attempts ran.", "task", "tier", bounds=WORK
)
ATTEMPT_PREFETCHED: Final = histogram(
    "ledgerq_attempt_prefetched_seconds",
    "How long attempts that began had waited in the worker for a child.",
    "tier",
    bounds=WAITS,
)
RETRIES: Final = counter(
    "ledgerq_retries_total", "Attempts that another one follows, by what spent them.", "task", "tier", "spent_by"
)
HELD: Final = counter("ledgerq_held_total", "Messages that went back to wait, by why.", "tier", "because")
LAST_SUCCESS: Final = gauge(
    "ledgerq_task_last_success_timestamp_seconds", "When an attempt last succeeded here, Unix time.", "task", "tier"
)
WORKER_CHILDREN: Final = gauge("ledgerq_worker_children", "Pool children there should be.", "tier")
WORKER_BUSY: Final = gauge("ledgerq_worker_busy", "Pool children that execute an attempt.", "tier")
WORKER_IN_HAND: Final = gauge("ledgerq_worker_in_hand", "Attempts in hand: executed, ahead or not recorded.", "tier")
WORKER_UNRECORDED: Final = gauge(
    "ledgerq_worker_unrecorded", "What was said about attempts and is not confirmed by the broker yet.", "tier"
)
WORKER_CONNECTED: Final = gauge("ledgerq_worker_connected", "1 while the worker consumes, 0 while it cannot.", "tier")

PROJECTION_EVENTS: Final = counter(
    "ledgerq_projection_events_total", "Events a projection looked at.", "projection", "log"
)
PROJECTION_WRITE: Final = histogram(
    "ledgerq_projection_write_seconds", "Writing and committing one page of events.", "projection", bounds=MOMENTS
)
PROJECTION_PARKED: Final = counter(
    "ledgerq_projection_parked_total", "Events a projection could not handle and left aside.", "projection"
)
PROJECTION_TROUBLE: Final = counter(
    "ledgerq_projection_trouble_total", "Times a projection waited for the database or an archive.", "projection"
)

SLOTS_FIRED: Final = counter("ledgerq_schedule_fired_total", "Slots this scheduler fired.", "schedule")
SLOTS_MISSED: Final = counter("ledgerq_schedule_missed_total", "Slots that passed without being fired.", "schedule")
SLOTS_SKIPPED: Final = counter(
    "ledgerq_schedule_skipped_total", "Slots not fired because the schedule's earlier run had not ended.", "schedule"
)
SLOT_LATENESS: Final = histogram(
    "ledgerq_schedule_lateness_seconds", "From a slot's moment to its being stored.", "schedule", bounds=WAITS
)
SEALED_EVENTS: Final = counter("ledgerq_sealed_events_total", "Events put under a seal.", "log")
SEAL_REFUSALS: Final = counter("ledgerq_seal_refusals_total", "Times a log was not sealed for a doubtful seal.", "log")
MONTHS_MADE: Final = counter("ledgerq_months_made_total", "Months made for the log of heartbeats.")
ARCHIVED_EVENTS: Final = counter("ledgerq_archived_events_total", "Events that retention archived.")
DROPPED_EVENTS: Final = counter("ledgerq_dropped_events_total", "Events that retention dropped.")
RETENTION_FAILURES: Final = counter("ledgerq_retention_failures_total", "Rounds of retention that came to nothing.")

PLATFORM_UP: Final = gauge("ledgerq_up", "1 where the component answered this look, 0 where it did not.", "component")
QUEUE_READY: Final = gauge("ledgerq_queue_ready_messages", "Messages in no consumer's hand.", "queue")
QUEUE_UNACKNOWLEDGED: Final = gauge(
    "ledgerq_queue_unacknowledged_messages", "Messages in consumers' hands; needs the management API.", "queue"
)
QUEUE_CONSUMERS: Final = gauge("ledgerq_queue_consumers", "Consumers of the queue.", "queue")
QUEUE_OLDEST: Final = gauge(
    "ledgerq_queue_oldest_age_seconds",
    "How long the oldest run has waited in its tier's queue, by the read model of runs; 0 where none waits.",
    "queue",
)
BROKER_ALARM: Final = gauge(
    "ledgerq_broker_alarm",
    "1 while a node blocks publishers for want of it; needs the management API and its tag monitoring.",
    "resource",
)
BROKER_DISK_FREE: Final = gauge("ledgerq_broker_disk_free_bytes", "Of the node that has least to spare; likewise.")
BROKER_DISK_LIMIT: Final = gauge("ledgerq_broker_disk_limit_bytes", "Below this that node blocks publishers; likewise.")
BACKLOG_RUNS: Final = gauge(
    "ledgerq_backlog_runs", "Accepted runs that dispatch has not published, counted up to 10,000.", "tier"
)
BACKLOG_AGE: Final = gauge("ledgerq_backlog_age_seconds", "Age of the oldest of them; 0 where there is none.", "tier")
LAG_EVENTS: Final = gauge(
    "ledgerq_projection_lag_events", "Positions of the log a projection has yet to look at.", "projection", "log"
)
LAG_SECONDS: Final = gauge(
    "ledgerq_projection_lag_seconds", "Age of the oldest event it has not looked at.", "projection", "log"
)
PARKED: Final = gauge("ledgerq_projection_parked_events", "Events that are parked now.", "projection", "log")
LOG_POSITION: Final = gauge("ledgerq_log_position", "Up to where the log is final.", "log")
LOG_TIME: Final = gauge(
    "ledgerq_log_time_timestamp_seconds", "Log time, Unix time: everything sent before it is stored."
)
SCHEDULE_FIRED_AT: Final = gauge(
    "ledgerq_schedule_last_fired_timestamp_seconds", "When a slot of any schedule was last fired, Unix time."
)
UNSEALED_AGE: Final = gauge(
    "ledgerq_unsealed_age_seconds", "Age of the oldest event that is under no seal; 0 where there is none.", "log"
)
MONTHS_AHEAD: Final = gauge(
    "ledgerq_heartbeat_months_ahead", "Months after the present one that the log of heartbeats has partitions for."
)
DATABASE_SIZE: Final = gauge("ledgerq_database_size_bytes", "Size of the database on its disk.")
DATABASE_CONNECTIONS: Final = gauge("ledgerq_database_connections", "Connections to the server, whoever's.")
DATABASE_CONNECTIONS_LIMIT: Final = gauge("ledgerq_database_connections_limit", "How many it allows.")
DISK_FREE: Final = gauge(
    "ledgerq_disk_free_bytes", "Room left on this host's disk under a directory of ours.", "directory"
)
DISK_SIZE: Final = gauge("ledgerq_disk_size_bytes", "Size of that disk.", "directory")

_INGEST: Final = (
    INGEST_MESSAGES, INGEST_REJECTED, INGEST_BATCH, INGEST_APPEND, INGEST_AGE, INGEST_OUTAGES, DEAD_LETTERS,
)  # fmt: skip
_DISPATCH: Final = (
    LEADS, DISPATCH_ACCEPTED, DISPATCH_PUBLISHED, DISPATCH_LEFT, DISPATCH_WAIT, DISPATCH_APPEND, DISPATCH_HELD,
)  # fmt: skip
_WORKER: Final = (
    ATTEMPTS_STARTED, ATTEMPTS, ATTEMPT_DURATION, ATTEMPT_PREFETCHED, RETRIES, HELD, LAST_SUCCESS,
    WORKER_CHILDREN, WORKER_BUSY, WORKER_IN_HAND, WORKER_UNRECORDED, WORKER_CONNECTED,
)  # fmt: skip
_PROJECTOR: Final = (LEADS, PROJECTION_EVENTS, PROJECTION_WRITE, PROJECTION_PARKED, PROJECTION_TROUBLE)
_SCHEDULER: Final = (
    LEADS, SLOTS_FIRED, SLOTS_MISSED, SLOTS_SKIPPED, SLOT_LATENESS, SEALED_EVENTS, SEAL_REFUSALS,
    MONTHS_MADE, ARCHIVED_EVENTS, DROPPED_EVENTS, RETENTION_FAILURES,
)  # fmt: skip

SHOWN: Final[dict[ProcessName, tuple[Metric, ...]]] = {
    ProcessName.INGEST: _INGEST,
    ProcessName.DISPATCH: _DISPATCH,
    ProcessName.PROJECTOR: _PROJECTOR,
    ProcessName.SCHEDULER: _SCHEDULER,
    ProcessName.WORKER_CRITICAL: _WORKER,
    ProcessName.WORKER_HIGH: _WORKER,
    ProcessName.WORKER_NORMAL: _WORKER,
    ProcessName.WORKER_LOW: _WORKER,
}
"""What each process shows, beside ``process_…`` of prometheus-client (processor time, memory, open files)."""


def port_offset(process: ProcessName) -> int:
    """What is added to ``LEDGERQ_METRICS_PORT``; the port itself belongs to the platform's own metrics."""
    return 1 + list(SHOWN).index(process)


BROKER: Final = (
    QUEUE_READY, QUEUE_UNACKNOWLEDGED, QUEUE_CONSUMERS, BROKER_ALARM, BROKER_DISK_FREE, BROKER_DISK_LIMIT,
)  # fmt: skip
DATABASE: Final = (
    QUEUE_OLDEST, BACKLOG_RUNS, BACKLOG_AGE, LAG_EVENTS, LAG_SECONDS, PARKED, LOG_POSITION, LOG_TIME,
    SCHEDULE_FIRED_AT, UNSEALED_AGE, MONTHS_AHEAD, DATABASE_SIZE, DATABASE_CONNECTIONS, DATABASE_CONNECTIONS_LIMIT,
)  # fmt: skip
HOST: Final = (DISK_FREE, DISK_SIZE)
PLATFORM: Final = (PLATFORM_UP, *BROKER, *DATABASE, *HOST)
"""What a look at broker, database and host shows, whatever process looks (:mod:`infra.metrics.platform`)."""
