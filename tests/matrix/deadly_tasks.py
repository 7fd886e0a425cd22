"""Tasks that end in every way there is. Each leaves a mark in a file first: its side effect."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from domain.refusal import Refusal
from tasks.app import app, task
from tasks.worker.retry import NO_RETRIES, RetryPolicy

SOON = RetryPolicy(start=timedelta(seconds=1), factor=1, max_retries=2, jitter=False)


class LicenseGone(Refusal):
    """The license is gone."""


def mark(marks: str) -> None:
    """The side effect."""
    with Path(marks).open("a", encoding="utf-8") as file:
        file.write("x")


@task("deadly.succeed", retry_policy=SOON)
def succeed(marks: str) -> str:
    mark(marks)
    return "done"


@task("deadly.once", retry_policy=NO_RETRIES)
def once(marks: str) -> str:
    """There is no second attempt."""
    mark(marks)
    return "done"


@task("deadly.fail", retry_policy=SOON)
def fail(marks: str) -> NoReturn:
    mark(marks)
    raise ConnectionError("neighbor away")


@app.task(name="deadly.stock_fail", bind=True, max_retries=2)
def stock_fail(self: Any, marks: str) -> NoReturn:
    """As people write it for Celery."""
    mark(marks)
    raise self.retry(exc=ConnectionError("neighbor away"), countdown=1)


@task("deadly.refuse", retry_policy=SOON)
def refuse(marks: str) -> NoReturn:
    mark(marks)
    raise LicenseGone("license-1")


@task("deadly.soft_limit", retry_policy=NO_RETRIES, soft_time_limit=1)
def soft_limit(marks: str) -> None:
    mark(marks)
    time.sleep(60)


@task("deadly.hard_limit", retry_policy=SOON, time_limit=1)
def hard_limit(marks: str) -> None:
    mark(marks)
    time.sleep(60)


@task("deadly.kill_child", retry_policy=SOON)
def kill_child(marks: str) -> None:
    mark(marks)
    os.kill(os.getpid(), signal.SIGKILL)


@task("deadly.system_exit", retry_policy=SOON)
def system_exit(marks: str) -> NoReturn:
    mark(marks)
    raise SystemExit(5)


@task("deadly.memory_error", retry_policy=SOON)
def memory_error(marks: str) -> NoReturn:
    mark(marks)
    raise MemoryError("16 EiB")


@task("deadly.send", retry_policy=NO_RETRIES)
def send(marks: str, routing_key: str) -> None:
    """Publish another task from inside this one."""
    mark(marks)
    succeed.apply_async((f"{marks}.sent",), exchange="tasks", routing_key=routing_key, retry=False)


@task("deadly.wait", retry_policy=SOON)
def wait(marks: str, go: str) -> str:
    """Until the file ``go`` is there."""
    mark(marks)
    while not Path(go).exists():
        time.sleep(0.02)
    return "done"
