"""The worker process of one tier; or, where no tier is named, of all four."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from typing import Any

from billiard.util import get_logger as billiard_logger
from celery import signals
from celery.apps.worker import Worker
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from domain.tier import Tier
from infra import logs
from infra.settings import Settings, load_settings
from infra.tracing import tracing
from tasks.app import app
from tasks.worker.tiers import run_all_tiers
from tasks.worker.within import SERVICE


def run(tier: Tier | None = None, concurrency: int | None = None) -> None:
    """Run tasks until SIGTERM or Ctrl-C, which let running tasks finish within the grace; a second one does not.

    Args:
        tier: the one to serve; None: all, each in a process of its own.
        concurrency: pool children per tier; None: as the settings say.
    """
    settings = load_settings()
    logs.configure(settings)
    children = concurrency or settings.worker_concurrency
    sys.exit(run_all_tiers(children) if tier is None else _run_tier(tier, children, settings))


def _run_tier(tier: Tier, concurrency: int, settings: Settings) -> int:
    _quieten(settings)
    app.conf.broker_transport_options["client_properties"]["ledgerq_children"] = concurrency  # `ledgerq doctor` asks
    worker = Worker(
        app=app,
        hostname=f"{tier.value}@%h",
        queues=[tier.queue],
        pool="prefork",
        concurrency=concurrency,
        loglevel=settings.log_level.upper(),
        optimization="fair",
        quiet=True,
    )
    with tracing(settings, service=SERVICE) as tracer:
        if tracer is not None:
            gc.freeze()  # as in the children: tasks.worker.within
        worker.start()
    return int(worker.exitcode or 0)


def _quieten(settings: Settings) -> None:
    """One line per event: ours. Celery's own, several per task, are for debugging."""
    signals.setup_logging.connect(_log_our_way, weak=False)
    # Celery warns of running as root for the sake of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # … and, after a lost connection, that running tasks are not cancelled: they find their redelivery.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    if settings.log_level != "debug":
        logging.getLogger("celery").setLevel(logging.WARNING)
        logging.getLogger("celery.app.trace").setLevel(logging.CRITICAL)
        logging.getLogger("celery.worker.consumer").setLevel(logging.WARNING)
        logging.getLogger("multiprocessing").setLevel(logging.WARNING)


def _log_our_way(**_signal: Any) -> None:
    """Logging is set up already; a receiver of this signal keeps Celery from setting up its own."""
    billiard_logger().propagate = True  # else the pool writes past every handler
