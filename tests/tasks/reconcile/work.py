"""Tasks that wait: for an hour in the ladder, or in a worker until somebody allows them to end."""

import time
from datetime import timedelta
from pathlib import Path

from tasks.app import task
from tasks.worker.retry import RetryPolicy

IN_AN_HOUR = RetryPolicy(start=timedelta(hours=1), jitter=False)


@task("reconcile.later", retry_policy=IN_AN_HOUR)
def later() -> None:
    raise ConnectionError("not now")


@task("reconcile.wait")
def wait(*, gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.02)


@task("reconcile.quick")
def quick(*, marks: str = "", duration_ms: int = 0) -> None:
    if marks:
        with Path(marks).open("a", encoding="utf-8") as file:
            file.write("x\n")
    time.sleep(duration_ms / 1000)
