"""Tasks of the tests of workflows; ``LAB_TASKS`` names this module to a hosted worker."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import group

from tasks.app import app, task
from tasks.worker.retry import RetryPolicy


def note(line: str) -> None:
    """Append a line to the file that the test looks at."""
    with Path(os.environ["LAB_LINES"]).open("a") as lines:
        lines.write(f"{line}\n")


@app.task(name="flow.double")
def double(number: int) -> int:
    return 2 * number


@app.task(name="flow.spread")
def spread(numbers: int) -> str:
    sent = group(double.s(number) for number in range(numbers)).apply_async()
    sent.save()
    return str(sent.id)


@app.task(name="flow.member", default_retry_delay=0.25)
def member(number: int) -> int:
    with Path(os.environ["LAB_BEGUN"]).open("a") as begun:
        begun.write(".")
    time.sleep(0.01)
    return 2 * number


@app.task(name="flow.fail", max_retries=0)
def fail(_number: int) -> None:
    raise ValueError("no good")


@app.task(name="flow.greedy", max_retries=1, default_retry_delay=0.25)
def greedy() -> None:
    raise MemoryError("16 EiB")


@app.task(name="flow.total", bind=True, default_retry_delay=0.25)
def total(self: Any, numbers: list[int], label: str = "") -> dict[str, Any]:
    note(f"total {self.request.id}")
    return {
        "total": sum(numbers),
        "label": label,
        "priority": self.request.delivery_info["priority"],
        "root": self.request.get("ledgerq-correlation-id") or self.request.root_id,
    }


@app.task(name="flow.add")
def add(value: dict[str, Any], number: int) -> int:
    return int(value["total"]) + number


@app.task(name="flow.long")
def long(number: int) -> str:
    return "x" * number


@app.task(name="flow.long_total")
def long_total(texts: list[str]) -> int:
    return sum(map(len, texts))


@app.task(name="flow.sleep")
def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return 0


@app.task(name="flow.shaky", max_retries=0)
def shaky(number: int, road: str) -> int:
    """Fails for odd numbers while there is no road."""
    note(f"shaky:{number}:{road}")
    if number % 2 and not Path(road).exists():
        raise ValueError("no road")
    return 2 * number


@app.task(name="flow.passed")
def passed(number: int, more: int, road: str) -> int:
    note(f"passed:{more}:{road}")
    return number + more


@app.task(name="flow.tally", max_retries=0)
def tally(numbers: list[int], road: str) -> int:
    """Fails while there is no road."""
    note(f"tally:{road}")
    if not Path(road).exists():
        raise ValueError("no road")
    return sum(numbers)


@app.task(name="flow.plus")
def plus(number: int, more: int) -> int:
    return number + more


@app.task(name="flow.plain_total")
def plain_total(numbers: list[int]) -> int:
    return sum(numbers)


@task("flow.tries", retry_policy=RetryPolicy(start=timedelta(0), max_retries=1))
def tries(word: str) -> None:
    note(f"tries:{word}")
    raise ValueError("no good")


@app.task(name="flow.stuck", time_limit=1, max_retries=0)
def stuck() -> None:
    time.sleep(60)


@app.task(name="flow.dies", max_retries=0)
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="flow.told", bind=True)
def told(self: Any, run_id: str, word: str) -> None:
    """An error callback that is sent."""
    note(f"told:{word}:{run_id}")
    note(f"run:{word}:{self.request.id}")


@app.task(name="flow.told_all")
def told_all(request: Any, error: BaseException, _traceback: Any, word: str) -> None:
    """An error callback that is called where the failure was seen."""
    note(f"told_all:{word}:{request.id}:{type(error).__name__}")
