"""The same two tasks on dramatiq, another peer of ``ledgerq bench``."""

from __future__ import annotations

import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from infra.settings import load_settings

QUEUE = "bench.dramatiq"

dramatiq.set_broker(RabbitmqBroker(url=load_settings().broker_url.get_secret_value()))


@dramatiq.actor(actor_name="sample.nothing", queue_name=QUEUE)
def nothing() -> None:
    """Do nothing."""


@dramatiq.actor(actor_name="sample.ten_milliseconds", queue_name=QUEUE)
def ten_milliseconds() -> None:
    """Take ten milliseconds and no processor."""
    time.sleep(0.01)
