"""A bare Celery application on our queue, with none of our handling: a peer that ``ledgerq bench`` measures beside us.

Set as a careful operator of Celery would set it for the same guarantee of work: acknowledged late, prefetch 1. With
``BENCH_RESULTS`` it keeps results in that database, by Celery's own backend.
"""

from __future__ import annotations

import os
import time

from celery import Celery
from kombu.entity import Exchange, Queue

from domain.tier import Tier
from infra.broker.topology import TASKS
from infra.settings import load_settings

_QUEUE = Tier.NORMAL.queue
_RESULTS = os.environ.get("BENCH_RESULTS")

app = Celery("bare", broker=load_settings().broker_url.get_secret_value(), backend=_RESULTS)
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=_RESULTS is None,
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_queues=[
        Queue(_QUEUE, Exchange(TASKS, type="topic", no_declare=True), routing_key=_QUEUE, no_declare=True)  # type: ignore[no-untyped-call]
    ],
    task_create_missing_queues=False,
    worker_detect_quorum_queues=False,
    worker_redirect_stdouts=False,
)


@app.task(name="sample.nothing")  # type: ignore[untyped-decorator]  # Celery is untyped
def nothing() -> None:
    """Do nothing."""


@app.task(name="sample.ten_milliseconds")  # type: ignore[untyped-decorator]
def ten_milliseconds() -> None:
    """Take ten milliseconds and no processor."""
    time.sleep(0.01)
