"""Failure alerts: people are told when a critical task ends badly, once per task and window of time."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from domain.aggregate import Event


class AlertSent(Event, frozen=True, kw_only=True):
    """People were told by e-mail that a run of ``task`` ended badly.

    ``unannounced`` more had since the window of the alert before this one, and nobody was told of them singly.
    """

    TOPIC: ClassVar[str] = "alert.sent"
    task: str
    run_id: str
    recipient: str
    window_start: datetime
    unannounced: int


def alert_stream(task: str, window_start: datetime) -> str:
    """Stream of the alert about ``task`` in the window that began then; there is one."""
    return f"alert-{task}@{window_start.isoformat()}"
