"""Tasks for the worker's tests: each comes to its end in its own way."""

import logging
import os
import signal
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import structlog
from celery import Task, shared_task, signals
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_task_logger
from celery.worker import state

from domain.limits import ConcurrencyLimit, RateLimit
from domain.refusal import Refusal
from tasks.app import app, task
from tasks.worker.retry import NO_RETRIES, RetryPolicy
from tasks.worker.snooze import Snooze

SOON = RetryPolicy(start=timedelta(seconds=1), factor=1, max_retries=2, jitter=False)
REVOKED_RUN = "0192d7a5-0000-7000-8000-00000000dead"
KILO = "x" * 1000


class NotToday(Refusal):
    """Not on a {day}."""


class HopelessError(Exception):
    pass


class UnspeakableError(Exception):
    """Neither it nor its class can be pickled, and it has no text."""

    def __init__(self) -> None:
        self.hold = lambda: None

    def __str__(self) -> str:
        raise ValueError


class DatabaseTask(Task):  # type: ignore[misc]
    """A base class of somebody else's, which knows nothing of us."""


def count(path: str) -> int:
    """Leave a mark for an execution; how many there are now."""
    with Path(path).open("a", encoding="utf-8") as marks:
        marks.write("x")
    return Path(path).stat().st_size


@app.task(name="lab.add")
def add(x: int, y: int) -> int:
    return x + y


@task("lab.speak", retry_policy=NO_RETRIES)
def speak(secret: str) -> None:
    """Say something in every way there is."""
    sys.stdout.write("printed, ")
    print(secret)  # noqa: T201
    print("not ended", end="")  # noqa: T201
    print("complained", file=sys.stderr)  # noqa: T201
    logging.getLogger("a.library").warning("logged")
    get_task_logger("lab").info("logged by celery")
    structlog.get_logger("lab").info("structured", amount=3)
    warnings.warn("warned", stacklevel=1)


@shared_task(name="lab.shared")
def shared(*, x: int) -> dict[str, int]:
    return {"x": x}


@app.task(name="lab.big")
def big() -> list[str]:
    return [KILO] * 10


@app.task(name="lab.stock_fail")
def stock_fail() -> NoReturn:
    raise ValueError("no " + KILO * 4)


@app.task(name="lab.unstorable")
def unstorable() -> NoReturn:
    raise ValueError("a\0b \\\0 \\u0000 \ud800")


@app.task(name="lab.unspeakable")
def unspeakable() -> NoReturn:
    raise UnspeakableError


@app.task(name="lab.reject")
def reject() -> NoReturn:
    raise Reject("not mine", requeue=False)


@app.task(name="lab.requeue", max_retries=1, default_retry_delay=0)
def requeue() -> NoReturn:
    raise Reject("later", requeue=True)


@app.task(name="lab.ignore")
def ignore() -> NoReturn:
    raise Ignore


@app.task(name="lab.replace", bind=True)
def replace(self: Any) -> NoReturn:
    raise self.replace(add.si(20, 22))


@app.task(name="lab.retry_itself", bind=True, max_retries=5)
def retry_itself(self: Any, goal: int, *, so_far: int = 0) -> int:
    if so_far < goal:
        raise self.retry(kwargs={"so_far": so_far + 1}, countdown=1, exc=ValueError("not there yet"))
    return so_far


@app.task(name="lab.give_up", bind=True, max_retries=1, base=DatabaseTask)
def give_up(self: Any) -> NoReturn:
    raise self.retry(countdown=0, exc=ValueError("never"))


@app.task(name="lab.retry_quietly", bind=True)
def retry_quietly(self: Any) -> str:
    if self.request.retries == 0:
        self.retry(countdown=0, throw=False)
        return "not yet"
    return "now"


@app.task(name="lab.autoretry", autoretry_for=(ValueError,), max_retries=1, default_retry_delay=0)
def autoretry() -> NoReturn:
    raise ValueError("again")


@app.task(name="lab.retry_with_unwritable", bind=True)
def retry_with_unwritable(self: Any) -> NoReturn:
    raise self.retry(args=(object(),), countdown=0)


@app.task(name="lab.retry_with", bind=True, max_retries=1)
def retry_with(self: Any, options: dict[str, Any]) -> NoReturn:
    raise self.retry(**options)


@app.task(name="lab.raise_retry", bind=True)
def raise_retry(_self: Any, when: Any) -> NoReturn:
    raise Retry("by hand", when=when)


@app.task(name="lab.snooze", max_retries=0, autoretry_for=(Exception,))
def snooze(path: str, times: int) -> int:
    if count(path) <= times:
        raise Snooze(timedelta(seconds=0), "the neighbor sleeps")
    return times


@task("lab.snooze_between_failures", retry_policy=SOON)
def snooze_between_failures(path: str) -> NoReturn:
    if count(path) % 2:
        raise Snooze(1)
    raise ConnectionError("neighbor away")


@app.task(name="lab.odd_pause", default_retry_delay=1e18)
def odd_pause() -> str:
    return "done"


@task("lab.fail", retry_policy=SOON)
def fail() -> NoReturn:
    raise ConnectionError("neighbor away")


@task("lab.give_up_early", retry_policy=SOON, bind=True)
def give_up_early(self: Any) -> NoReturn:
    raise self.retry(exc=ValueError("enough"), max_retries=0)


@task("lab.refused", retry_policy=SOON)
def refused() -> NoReturn:
    raise NotToday("license-1", day="Sunday")


@task("lab.hopeless", retry_policy=SOON, no_retry_for=(HopelessError,))
def hopeless() -> NoReturn:
    raise HopelessError("for good")


@task(
    "lab.fail_for_hours", retry_policy=RetryPolicy(start=timedelta(hours=4), maximum=timedelta(hours=4), jitter=False)
)
def fail_for_hours() -> NoReturn:
    raise ConnectionError("neighbor away for long")


@task("lab.hang", retry_policy=SOON, time_limit=1)
def hang(path: str) -> None:
    count(path)
    signal.pause()


@task("lab.too_slow", retry_policy=NO_RETRIES, soft_time_limit=1)
def too_slow() -> None:
    time.sleep(60)


@task("lab.kill_itself", retry_policy=SOON)
def kill_itself(path: str) -> None:
    count(path)
    os.kill(os.getpid(), signal.SIGKILL)


@task("lab.os_exit", retry_policy=NO_RETRIES)
def os_exit() -> None:
    os._exit(3)


@task("lab.system_exit", retry_policy=SOON)
def system_exit() -> NoReturn:
    raise SystemExit(5)


@task("lab.memory_error", retry_policy=SOON)
def memory_error() -> NoReturn:
    raise MemoryError("16 EiB")


@app.task(name="lab.stock_memory_error", max_retries=0)
def stock_memory_error() -> NoReturn:
    raise MemoryError("16 EiB")


@task("lab.wait_for", retry_policy=SOON)
def wait_for(started: str, go: str) -> int:
    """Mark the start, then wait until the file ``go`` is there."""
    executions = count(started)
    while not Path(go).exists():
        time.sleep(0.02)
    return executions


@task("lab.wait_my_turn", retry_policy=SOON)
def wait_my_turn(marks: str, go: str) -> int:
    """Like ``lab.wait_for``, with a file per execution (``go.1`` …) that says how it ends."""
    execution = count(marks)
    mine = Path(f"{go}.{execution}")
    while not mine.exists():
        time.sleep(0.02)
    Path(f"{mine}.seen").touch()
    if mine.read_text() == "fail":
        raise ConnectionError("neighbor away")
    return execution


@task("lab.deaf", retry_policy=NO_RETRIES)
def deaf(*, started: str, go: str) -> None:
    """Mark the start, then wait and let nobody but the kernel end it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_for(started, go)


@task("lab.fail_slowly", retry_policy=RetryPolicy(start=timedelta(seconds=3), factor=1, jitter=False))
def fail_slowly() -> NoReturn:
    raise ConnectionError("neighbor away")


@task("lab.mark", retry_policy=SOON, bind=True)
def mark(self: Any, path: str, *, seconds: float, then: str) -> str:
    """Leave a line for the execution, take a while, and on the first attempt end as ``then`` says."""
    attempt = int(self.request.get("ledgerq-attempt") or 1)
    with Path(path).open("a", encoding="utf-8") as lines:
        lines.write(f"{self.request.id} {attempt}\n")
    time.sleep(seconds if attempt == 1 else 0.01)
    if attempt == 1 and then == "fail":
        raise ConnectionError("neighbor away")
    if attempt == 1 and then == "snooze":
        raise Snooze(0.5)
    return then


@task("lab.limited_rate", retry_policy=NO_RETRIES, rate=RateLimit(20, timedelta(seconds=10)))
def limited_rate() -> None:
    pass


@task("lab.limited_to_two", retry_policy=SOON, concurrency=ConcurrencyLimit(2, key="license_id"))
def limited_to_two(*, started: str, go: str, license_id: str = "") -> int:
    del license_id
    return int(wait_for(started, go))


@app.task(name="lab.one_a_minute", rate_limit="1/m")
def one_a_minute() -> None:
    pass


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def revoke_one(**_kwargs: Any) -> None:
    """As remote control would; there is none here."""
    state.revoked.add(REVOKED_RUN)


@app.task(name="lab.total", bind=True, ignore_result=False)  # type: ignore[untyped-decorator]
def total(self: Any, numbers: list[int]) -> dict[str, Any]:
    """The body of a chord: what it got, and with which priority it was asked for."""
    return {"total": sum(numbers), "priority": self.request.delivery_info["priority"]}


@app.task(name="lab.double", ignore_result=False, max_retries=3, bind=True)  # type: ignore[untyped-decorator]
def double(self: Any, number: int, *, fail_once: bool = False) -> int:
    """A link of a chain, or a member of a chord."""
    if fail_once and self.request.retries == 0:
        raise self.retry(countdown=1, exc=ConnectionError("neighbor away"))
    return 2 * number


@app.task(name="lab.start_another", bind=True)  # type: ignore[untyped-decorator]
def start_another(_self: Any, *, options: dict[str, Any]) -> str:
    """Ask for another task from within one; its id."""
    return str(add.apply_async((1, 1), **options).id)
