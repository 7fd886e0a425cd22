"""What each figure should be, or what it stands beside."""

from __future__ import annotations

from typing import Final

GOALS: Final[dict[str, str]] = {
    "emit_visible_p50_ms": "< 60",
    "emit_visible_p99_ms": "< 250",
    "ingest_messages_per_second": ">= 5000",
    "bare_messages_per_second": "(beside it: a plain pika consumer of the same messages that stores nothing)",
    "ingest_vs_bare_consumer": "",
    "paced_messages_per_second": "(asked for: 5000)",
    "paced_lag_ms": "",
    "heartbeats_per_second": ">= 50000",
    "largest_process_mb": "< 150",
    "million_sessions_lag_p99_ms": "< 1000",
    "million_sessions_not_seen": "0",
    "task_vs_bare_celery": ">= 0.9",
    "task_strict_vs_bare_celery": "(nothing taken ahead)",
    "task_stored_vs_bare_celery": "(ingest stores meanwhile, on the same cores)",
    "task_10ms_vs_bare_celery": ">= 0.98",
    "dispatch_vs_apply_async": "(unconfirmed and not recorded)",
    "dispatch_vs_confirmed_apply_async": "(confirmed and not recorded)",
    "sweep_100k_seconds": "< 10",
    "append_batch_vs_raw": ">= 0.8",
    "append_batch_vs_library": ">= 1.5",
    "append_batch4_vs_raw": ">= 0.7",
    "append_batch4_vs_library": ">= 2",
    "append_single_vs_raw": ">= 0.5",
    "append_single16_vs_raw": ">= 0.6",
    "append_single16_vs_library": ">= 5",
    "append_lifecycle_vs_raw": ">= 0.6",
    "append_lifecycle_10_vs_raw": ">= 0.6 (a tenth told before)",
    "append_lifecycle_100_vs_raw": ">= 0.6 (all told before)",
    "heartbeats_vs_raw_rows": ">= 4",
    "heartbeats_vs_library": ">= 12",
    "heartbeat_bytes": "<= 60",
    "projection_vs_copy": ">= 0.25",
    "projection_vs_library": ">= 40",
    "heartbeats_vs_row_per_event": ">= 3",
}
