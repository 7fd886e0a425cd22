"""Sample tasks: one for every fate a task can meet."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from typing import Any, Final

from tasks.app import app, task
from tasks.worker.retry import RetryPolicy

SOON: Final = RetryPolicy(start=timedelta(seconds=1), maximum=timedelta(seconds=2), max_retries=3)
"""Retries within seconds, for a sample that lives in seconds."""


class AddressUnknown(Exception):  # noqa: N818
    """What the task was asked to do cannot be done."""


@task("sample.work", retry_policy=SOON)
def work(*, duration_ms: int = 20) -> dict[str, int]:
    """Take a while and succeed."""
    time.sleep(duration_ms / 1000)
    return {"duration_ms": duration_ms}


@task("sample.flaky", retry_policy=SOON, bind=True)
def flaky(self: Any, *, failures: int = 1) -> str:
    """Fail for the first so many attempts, then succeed."""
    if self.request.retries < failures:
        raise ConnectionError(f"attempt {self.request.retries + 1} of a flaky neighbour")
    return f"succeeded after {failures} failures"


@task("sample.fail", no_retry_for=(AddressUnknown,))
def fail(*, why: str) -> None:
    """Fail for good."""
    raise AddressUnknown(why)


@task("sample.hang", time_limit=2)
def hang() -> None:
    """Exceed the hard time limit."""
    threading.Event().wait()


@task("sample.kill_itself", retry_policy=SOON)
def kill_itself() -> None:
    """Kill the process it runs in, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="sample.stock", bind=True)  # type: ignore[untyped-decorator]  # Celery is untyped
def stock_task(self: Any, *, number: int) -> int:
    """Be a plain Celery task that knows nothing of Ledgerq."""
    del self
    return number * number


@app.task(name="sample.nothing")  # type: ignore[untyped-decorator]
def nothing() -> None:
    """Do nothing: what is left is what the platform costs."""


@app.task(name="sample.ten_milliseconds")  # type: ignore[untyped-decorator]
def ten_milliseconds() -> None:
    """Take ten milliseconds and no processor."""
    time.sleep(0.01)
