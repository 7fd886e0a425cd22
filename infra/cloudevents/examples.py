"""One example of the data of every message type: shown in the reference, put into the schemas, checked by a test."""

from __future__ import annotations

from typing import Any, Final

_SESSION: Final = "0199f3a2-6c1e-7d40-9a55-3f0c8b1d2e4f"
_LICENSE: Final = "0199f39e-11b7-7c3a-8e02-5d6f7a8b9c0d"
_RUN: Final = "0199f3a4-02d9-7b11-a3c4-1e2f3a4b5c6d"
_ATTEMPT: Final[dict[str, Any]] = {
    "run_id": _RUN,
    "task": "aggregate_usage_metrics",
    "attempt": 1,
    "queue": "tasks.normal",
    "worker": "normal@host-1",
}
_FAILURE: Final[dict[str, Any]] = {
    **_ATTEMPT,
    "error_type": "ConnectionRefusedError",
    "error": "[Errno 111] Connection refused",
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "session.started": {"session_id": _SESSION, "license_id": _LICENSE, "host": "workstation-17"},
    "session.heartbeat": {"session_id": _SESSION},
    "session.ended": {"session_id": _SESSION, "reason": "signed out"},
    "license.issued": {
        "license_id": _LICENSE,
        "valid_until": "2027-03-01T00:00:00Z",
        "holder": "acme",
        "holder_email": "license@acme.example",
        "seats": 25,
        "policy": {
            "name": "floating",
            "heartbeat_interval_seconds": 60.0,
            "patience_seconds": 360.0,
            "monitoring_starts": "first_heartbeat",
            "on_lapse": "keep",
            "resurrection": "5_minutes",
            "expiry": "maintain",
            "overage": "1.25x",
        },
        "entitlements": ["export", "sso"],
        "actor": "clerk@vendor.example",
        "reason": "order 4711",
    },
    "license.renewed": {"license_id": _LICENSE, "valid_until": "2028-03-01T00:00:00Z", "actor": "clerk@vendor.example"},
    "license.suspended": {
        "license_id": _LICENSE,
        "reason": "invoice 4711 is overdue",
        "actor": "clerk@vendor.example",
    },
    "license.reinstated": {"license_id": _LICENSE, "reason": "invoice 4711 was paid"},
    "license.revoked": {"license_id": _LICENSE, "reason": "contract terminated"},
    "license.transferred": {
        "license_id": _LICENSE,
        "holder": "apex",
        "holder_email": "license@apex.example",
        "reason": "Acme was bought by Apex",
    },
    "license.policy_changed": {
        "license_id": _LICENSE,
        "policy": {"name": "strict", "resurrection": "never", "expiry": "revoke"},
        "reason": "fair use was broken",
    },
    "license.seats_changed": {"license_id": _LICENSE, "seats": 40, "reason": "order 4712"},
    "license.entitlement_attached": {"license_id": _LICENSE, "entitlement": "audit-log", "reason": "order 4712"},
    "license.entitlement_detached": {"license_id": _LICENSE, "entitlement": "sso", "reason": "not paid for"},
    "task.requested": {
        "task": "aggregate_usage_metrics",
        "kwargs": {"license_id": _LICENSE},
        "tier": "high",
        "priority": 6,
        "license_id": _LICENSE,
        "expires_at": "2026-03-01T13:00:00Z",
        "unique_key": "usage-2026-03-01",
        "unique_for_seconds": 3600.0,
    },
    "signal.received": {"signal": "payment", "key": "order-4711", "details": {"amount": 120}},
    "ingest.watermark": {},
    "fan_in.declared": {
        "fan_in_id": "018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b40",
        "members": [["018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b41"], ["018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b42"]],
        "body": {
            "task": "billing.total",
            "args": [],
            "kwargs": {},
            "options": {"task_id": "018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b43"},
        },
        "least": 1,
    },
    "group.saved": {
        "group_id": "018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b40",
        "result": [
            ["018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b40", None],
            [
                [["018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b41", None], None],
                [["018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b42", None], None],
            ],
        ],
    },
    "task.received": {**_ATTEMPT, "eta": "2026-03-01T12:05:00Z"},
    "task.started": {
        **_ATTEMPT,
        "received_at": "2026-03-01T12:00:00Z",
        "priority": 6,
        "pid": 4242,
        "code_version": "0.1.0",
    },
    "task.retry_scheduled": {**_FAILURE, "spent_by": "exception", "delay_seconds": 4.0, "runtime_seconds": 0.8},
    "task.wait_began": {
        **_ATTEMPT,
        "terms": {"event": "license.renewed", "match": {"license_id": _LICENSE}, "until": "2026-04-01T12:00:00Z"},
        "message": {"body": "[[], {}, {}]", "size_bytes": 12, "content_type": "application/json"},
        "priority": 6,
    },
    "task.chain_recorded": {
        **_ATTEMPT,
        "links": [{"task": "ship", "args": [], "kwargs": {}, "options": {"task_id": _LICENSE}, "immutable": False}],
        "args": ["order-4711"],
        "kwargs": {},
    },
    "task.succeeded": {**_ATTEMPT, "result": '{"hours":24}', "runtime_seconds": 1.25},
    "task.failed": {
        **_FAILURE,
        "attempt": 4,
        "traceback": "Traceback (most recent call last): …",
        "runtime_seconds": 0.8,
    },
    "task.timed_out": {
        **_ATTEMPT,
        "error_type": "TimeLimitExceeded",
        "error": "hard time limit of 30 s",
        "runtime_seconds": 30.1,
    },
    "task.lost": {**_ATTEMPT, "attempt": 4, "error_type": "WorkerLostError", "error": "signal 9 (SIGKILL)"},
    "task.rejected": {**_ATTEMPT, "error_type": "NotRegistered", "error": "no task of this name is known"},
    "task.revoked": {**_ATTEMPT, "error_type": "TaskRevokedError", "error": "revoked by an operator"},
    "task.expired": {**_ATTEMPT, "error_type": "Expired", "error": "to be started by 2026-03-01T11:59:00Z"},
}
"""By message type."""

EARLIER: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "license.issued": (
        {
            "license_id": _LICENSE,
            "valid_until": "2027-03-01T00:00:00Z",
            "holder_email": "license@acme.example",
            "seats": 25,
            "patience_seconds": 360.0,
        },
    ),
}
"""By message type, what was sent before its shape grew; it is taken in for ever."""
