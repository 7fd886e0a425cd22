"""Sample tasks that leave a mark for every execution, so that executions can be counted against recorded attempts."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from tasks.app import app, task
from tasks.sample.work import SOON


@task("sample.mark", retry_policy=SOON, bind=True)
def mark(self: Any, *, marks: str, duration_ms: int = 0) -> None:
    """Leave a mark, take a while, succeed."""
    leave_mark(self, marks)
    time.sleep(duration_ms / 1000)


@task("sample.mark_then_fail", retry_policy=SOON, bind=True)
def mark_then_fail(self: Any, *, marks: str, times: int) -> None:
    """Leave a mark and fail, for the first so many attempts."""
    leave_mark(self, marks)
    if self.request.retries < times:
        raise ConnectionError(f"failure {self.request.retries + 1} of {times}")


@task("sample.mark_then_die", retry_policy=SOON, bind=True)
def mark_then_die(self: Any, *, marks: str, times: int) -> None:
    """Leave a mark and kill the process it runs in, for the first so many attempts."""
    leave_mark(self, marks)
    if self.request.retries < times:
        os.kill(os.getpid(), signal.SIGKILL)


@task("sample.mark_then_hang", retry_policy=SOON, bind=True, time_limit=2)
def mark_then_hang(self: Any, *, marks: str) -> None:
    """Leave a mark and exceed the hard time limit."""
    leave_mark(self, marks)
    threading.Event().wait()


@app.task(name="sample.stock_mark", bind=True, default_retry_delay=1)  # type: ignore[untyped-decorator]  # Celery is untyped
def stock_mark(self: Any, *, marks: str, duration_ms: int = 0) -> None:
    """Leave a mark as a plain Celery task that knows nothing of Ledgerq."""
    leave_mark(self, marks)
    time.sleep(duration_ms / 1000)


def leave_mark(task: Any, marks: str) -> None:
    """Add a line ``run attempt`` to the file ``marks``: in one write, so that lines of many processes do not mix."""
    attempt = task.request.get("ledgerq-attempt") or task.request.retries + 1
    descriptor = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{task.request.id} {attempt}\n".encode())
    finally:
        os.close(descriptor)
