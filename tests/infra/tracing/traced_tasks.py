"""Tasks whose code begins spans, asks the database, sends other tasks, or ends badly."""

import os
import signal
from datetime import timedelta
from typing import Any, NoReturn

import psycopg
from opentelemetry import trace

from infra.settings import load_settings
from tasks.app import app, task
from tasks.worker.retry import NO_RETRIES, RetryPolicy


@app.task(name="traced.looks")
def looks() -> str:
    trace.get_current_span().set_attributes({"customer": "c-17", "messaging.system": "mine", "note": "n" * 2000})
    with (
        trace.get_tracer("mine").start_as_current_span("by hand"),
        psycopg.connect(load_settings().database_url.get_secret_value()) as connection,
    ):
        connection.execute("select 1")
    current: str = f"{trace.get_current_span().get_span_context().span_id:016x}"
    return current


@task("traced.flaky", retry_policy=RetryPolicy(start=timedelta(0), max_retries=2))
def flaky(*, path: str) -> None:
    with open(path, "a") as tries:  # noqa: PTH123
        tries.write(".")
    if os.path.getsize(path) < 2:  # noqa: PTH202
        raise ValueError("secret-in-an-error")


@task("traced.hopeless", retry_policy=NO_RETRIES)
def hopeless(*, card: str) -> NoReturn:
    raise LookupError(card)


@app.task(name="traced.patient", bind=True)
def patient(self: Any) -> NoReturn:
    raise self.retry(countdown=900)


@task("traced.deadly", retry_policy=NO_RETRIES)
def deadly() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="traced.sends")
def sends() -> None:
    looks.apply_async()
