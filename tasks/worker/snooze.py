"""Snooze: a task puts itself off, at no cost to its budget."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.exceptions import Retry


class Snooze(Retry):  # type: ignore[misc]  # Celery is untyped
    """Raised in a task: run it again later; this attempt does not count.

    It is one of Celery's ``Retry``, so that ``autoretry_for`` lets it pass in any task; an ``except Exception`` of the
    task's own does not.

    Args:
        delay: how long to wait, in seconds if it is a number; at least the delay ladder's shortest, at most its
            longest.
        reason: why, for the log.

    Raises:
        TypeError: ``delay`` is neither a number nor a ``timedelta``.
    """

    def __init__(self, delay: float | timedelta, reason: str = "not yet") -> None:
        if isinstance(delay, bool) or not isinstance(delay, (int, float, timedelta)):
            raise TypeError(f"a delay is a number of seconds or a timedelta, not {delay!r}")
        self.delay_seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        super().__init__(reason, when=self.delay_seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        """As Celery pickles its own: by what it was made of."""
        return type(self), (self.delay_seconds, self.message)
