"""The dashboards there are; ``infra/deploy/grafana/*.json`` is written from this."""

from __future__ import annotations

from typing import Final

from infra.metrics.dashboard import Ask, Dashboard, Panel
from infra.metrics.panels import level, quantiles, rate, rise, stat

_BAD: Final = 'outcome=~"failed|timed_out|lost|rejected"'
_ENDED: Final = 'outcome!~"retried|handed_over"'
_CHOSEN: Final = 'task=~"$task",tier=~"$tier"'


OVERVIEW: Final = Dashboard(
    "ledgerq-overview",
    "Ledgerq overview",
    [
        stat("Processes down", 'count(up{job="ledgerq"} == 0) or vector(0)'),
        stat("Components down", "count(ledgerq_up == 0) or vector(0)"),
        stat("Log time behind", "time() - max(ledgerq_log_time_timestamp_seconds)", unit="s", bad_from=60),
        stat("Oldest waiting run", "max(ledgerq_queue_oldest_age_seconds)", unit="s", bad_from=1800),
        stat("Largest projection lag", "max(ledgerq_projection_lag_seconds)", unit="s", bad_from=60),
        stat("Dead letters, 1 h", "sum(increase(ledgerq_dead_letters_total[1h]))"),
        rate("Messages stored per second", "ledgerq_ingest_messages_total", by="queue"),
        rate("Runs published per second", "ledgerq_dispatch_published_total", by="tier"),
        rate("Runs ended per second", "ledgerq_attempts_total", by="outcome", where=_ENDED),
        level("Waiting in the tiers' queues", "ledgerq_queue_ready_messages", by="queue", where='queue=~"tasks[.].+"'),
        level("Age of the oldest waiting run", "ledgerq_queue_oldest_age_seconds", by="queue", unit="s"),
        level("Accepted and not published", "ledgerq_backlog_runs", by="tier"),
        Panel(
            "Children busy",
            [
                Ask("sum by (tier) (ledgerq_worker_busy)", "{{tier}} busy"),
                Ask("sum by (tier) (ledgerq_worker_children)", "{{tier}} there"),
            ],
        ),
        Panel(
            "Processor time per second",
            [
                Ask(
                    'sum by (instance) (rate(process_cpu_seconds_total{job="ledgerq"}[$__rate_interval]))',
                    "{{instance}}",
                )
            ],
            unit="s",
        ),
        Panel("Memory", [Ask('process_resident_memory_bytes{job="ledgerq"}', "{{instance}}")], unit="bytes"),
    ],
)

TASKS: Final = Dashboard(
    "ledgerq-tasks",
    "Ledgerq tasks",
    [
        stat(
            "Begun per minute",
            f"60 * sum(rate(ledgerq_attempts_started_total{{{_CHOSEN}}}[$__rate_interval]))",
            bad_from=None,
        ),
        stat("Ended badly, 1 h", f"sum(increase(ledgerq_attempts_total{{{_CHOSEN},{_BAD}}}[1h]))"),
        stat("Retries, 1 h", f"sum(increase(ledgerq_retries_total{{{_CHOSEN}}}[1h]))", bad_from=100),
        stat(
            "Lost or timed out, 1 h",
            f'sum(increase(ledgerq_attempts_total{{{_CHOSEN},outcome=~"lost|timed_out"}}[1h]))',
        ),
        stat(
            "Since the last success",
            f"time() - max by (task) (ledgerq_task_last_success_timestamp_seconds{{{_CHOSEN}}})",
            legend="{{task}}",
            unit="s",
            bad_from=None,
        )._replace(columns=8),
        rate("Attempts by outcome, per second", "ledgerq_attempts_total", by="outcome", where=_CHOSEN),
        rate("Attempts by task, per second", "ledgerq_attempts_total", by="task", where=_CHOSEN),
        Panel(
            "Share that ended badly",
            [
                Ask(
                    f"sum by (task) (rate(ledgerq_attempts_total{{{_CHOSEN},{_BAD}}}[$__rate_interval])) / "
                    f"(sum by (task) (rate(ledgerq_attempts_total{{{_CHOSEN},{_ENDED}}}[$__rate_interval])) > 0)",
                    "{{task}}",
                )
            ],
            unit="percentunit",
        ),
        quantiles("How long attempts run", "ledgerq_attempt_duration_seconds", by="task", where=_CHOSEN),
        quantiles("From acceptance to the queue", "ledgerq_dispatch_wait_seconds", by="tier", where='tier=~"$tier"'),
        quantiles(
            "In the worker before a child was free",
            "ledgerq_attempt_prefetched_seconds",
            by="tier",
            where='tier=~"$tier"',
        ),
        rate("Retries by what spent the attempt", "ledgerq_retries_total", by="spent_by", where=_CHOSEN),
        Panel(
            "Held, by why",
            [Ask('sum by (because) (rate(ledgerq_held_total{tier=~"$tier"}[$__rate_interval]))', "{{because}}")],
        ),
        Panel(
            "In hand, and not recorded yet",
            [
                Ask('sum by (instance) (ledgerq_worker_in_hand{tier=~"$tier"})', "{{instance}} in hand"),
                Ask('sum by (instance) (ledgerq_worker_unrecorded{tier=~"$tier"})', "{{instance}} not recorded"),
                Ask('min by (instance) (ledgerq_worker_connected{tier=~"$tier"})', "{{instance}} connected"),
            ],
        ),
    ],
    choices=[("task", "ledgerq_attempts_total"), ("tier", "ledgerq_attempts_total")],
)

INGEST: Final = Dashboard(
    "ledgerq-ingest",
    "Ledgerq ingest and broker",
    [
        stat("Waiting to be stored", 'max(ledgerq_queue_ready_messages{queue="ingest"})', bad_from=10_000),
        stat("Rejected, in ingest.dead", 'max(ledgerq_queue_ready_messages{queue="ingest.dead"})'),
        stat("Dead letters of tasks", 'max(ledgerq_queue_ready_messages{queue="dead"})'),
        stat("Unrouted", 'sum(max by (queue) (ledgerq_queue_ready_messages{queue=~"unrouted.*"}))'),
        stat("Broker alarms", "max by (resource) (ledgerq_broker_alarm)", legend="{{resource}}"),
        stat("Tiers held by backpressure", "sum(max by (tier) (ledgerq_dispatch_held))"),
        rate("Messages stored per second", "ledgerq_ingest_messages_total", by="queue"),
        quantiles("Storing a batch", "ledgerq_ingest_append_seconds", by="queue"),
        Panel(
            "Messages in a batch, mean",
            [
                Ask(
                    "sum by (queue) (rate(ledgerq_ingest_batch_messages_sum[$__rate_interval])) / "
                    "sum by (queue) (rate(ledgerq_ingest_batch_messages_count[$__rate_interval]))",
                    "{{queue}}",
                )
            ],
        ),
        quantiles("Age of a batch's first event when stored", "ledgerq_ingest_age_seconds", by="job"),
        rise("Not taken in, by reason", "ledgerq_ingest_rejected_total", by="reason"),
        rise("Dead letters recorded, by reason", "ledgerq_dead_letters_total", by="reason"),
        level("In queues, in nobody's hand", "ledgerq_queue_ready_messages", by="queue", where='queue!~"delay.*"'),
        Panel(
            "In the delay ladder",
            [Ask('sum(max by (queue) (ledgerq_queue_ready_messages{queue=~"delay.*"}))', "retries that wait")],
        ),
        level("In consumers' hands", "ledgerq_queue_unacknowledged_messages", by="queue", where='queue!~"delay.*"'),
        level("Consumers", "ledgerq_queue_consumers", by="queue", where='queue=~"ingest|dead.record|tasks.*"'),
        Panel(
            "Broker's disk",
            [
                Ask("min(ledgerq_broker_disk_free_bytes)", "free"),
                Ask("max(ledgerq_broker_disk_limit_bytes)", "publishers are blocked below"),
            ],
            unit="bytes",
        ),
        rise("Met: broker or database away", "ledgerq_ingest_outages_total", by="away"),
        Panel(
            "Broker's connections and channels",
            [Ask("sum(rabbitmq_connections)", "connections"), Ask("sum(rabbitmq_channels)", "channels")],
        ),
        Panel(
            "Broker's memory",
            [
                Ask("sum(rabbitmq_process_resident_memory_bytes)", "taken"),
                Ask("sum(rabbitmq_resident_memory_limit_bytes)", "limit"),
            ],
            unit="bytes",
        ),
        rise("Dispatch: not confirmed by the broker", "ledgerq_dispatch_left_total", by="tier"),
    ],
)

PROJECTIONS: Final = Dashboard(
    "ledgerq-projections",
    "Ledgerq projections and logs",
    [
        stat("Largest lag", "max(ledgerq_projection_lag_seconds)", unit="s", bad_from=60),
        stat("Parked events", "sum(max by (projection, log) (ledgerq_projection_parked_events))"),
        stat("Led by nobody", "count(sum by (leadership) (ledgerq_leader) == 0) or vector(0)"),
        stat(
            "Since a schedule fired",
            "time() - max(ledgerq_schedule_last_fired_timestamp_seconds)",
            unit="s",
            bad_from=300,
        ),
        stat("Oldest unsealed event", "max(ledgerq_unsealed_age_seconds)", unit="s", bad_from=900),
        stat("Database", "max(ledgerq_database_size_bytes)", unit="bytes", bad_from=None),
        Panel(
            "Lag in seconds",
            [Ask("max by (projection, log) (ledgerq_projection_lag_seconds)", "{{projection}} {{log}}")],
            unit="s",
        ),
        Panel(
            "Lag in events", [Ask("max by (projection, log) (ledgerq_projection_lag_events)", "{{projection}} {{log}}")]
        ),
        rate("Events per second", "ledgerq_projection_events_total", by="projection"),
        quantiles("Writing a page", "ledgerq_projection_write_seconds", by="projection"),
        Panel(
            "Parked, and troubles waited out",
            [
                Ask(
                    "sum by (projection) (increase(ledgerq_projection_parked_total[$__rate_interval]))",
                    "{{projection}} parked",
                ),
                Ask(
                    "sum by (projection) (increase(ledgerq_projection_trouble_total[$__rate_interval]))",
                    "{{projection}} trouble",
                ),
            ],
        ),
        Panel(
            "The logs grow by, per second",
            [Ask("max by (log) (rate(ledgerq_log_position[$__rate_interval]))", "{{log}}")],
        ),
        Panel(
            "Slots fired per minute",
            [Ask("60 * sum by (schedule) (rate(ledgerq_schedule_fired_total[$__rate_interval]))", "{{schedule}}")],
        ),
        quantiles("How late slots fire", "ledgerq_schedule_lateness_seconds", by="schedule"),
        rise("Slots missed", "ledgerq_schedule_missed_total", by="schedule"),
        Panel(
            "Sealed per second, and refusals",
            [
                Ask("sum by (log) (rate(ledgerq_sealed_events_total[$__rate_interval]))", "{{log}}"),
                Ask("sum by (log) (increase(ledgerq_seal_refusals_total[$__rate_interval]))", "{{log}} refused"),
            ],
        ),
        Panel(
            "Archived, dropped, failed",
            [
                Ask("sum(increase(ledgerq_archived_events_total[$__rate_interval]))", "archived"),
                Ask("sum(increase(ledgerq_dropped_events_total[$__rate_interval]))", "dropped"),
                Ask("sum(increase(ledgerq_retention_failures_total[$__rate_interval]))", "failed"),
            ],
        ),
        Panel(
            "Months ahead",
            [
                Ask("max(ledgerq_heartbeat_months_ahead)", "ahead"),
                Ask("sum(ledgerq_months_made_total)", "made"),
            ],
        ),
        Panel("Database size", [Ask("max(ledgerq_database_size_bytes)", "size")], unit="bytes"),
        Panel(
            "Database connections",
            [
                Ask("max(ledgerq_database_connections)", "taken"),
                Ask("max(ledgerq_database_connections_limit)", "limit"),
            ],
        ),
        Panel(
            "Room on our disks",
            [Ask("min by (directory) (ledgerq_disk_free_bytes / ledgerq_disk_size_bytes)", "{{directory}}")],
            unit="percentunit",
        ),
        quantiles("Dispatch: storing a page", "ledgerq_dispatch_append_seconds", by="job"),
        Panel(
            "Runs accepted from policies per second",
            [Ask("sum(rate(ledgerq_dispatch_accepted_total[$__rate_interval]))", "runs")],
        ),
        level("Accepted and not published: age of the oldest", "ledgerq_backlog_age_seconds", by="tier", unit="s"),
    ],
)

DASHBOARDS: Final = {each.uid: each for each in (OVERVIEW, TASKS, INGEST, PROJECTIONS)}
