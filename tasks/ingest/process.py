"""The ingest process: wiring, and beginning again whenever the broker or the database has gone away."""

from __future__ import annotations

from time import monotonic
from typing import Final

import structlog

from domain.blindness import Away
from infra.broker.errors import BrokerError
from infra.broker.publisher import Publisher
from infra.event_store import EventStore
from infra.process_name import ProcessName
from infra.running import running
from infra.settings import Settings, load_settings
from tasks.ingest.consumer import Consumer
from tasks.ingest.intake import Intake, Lasting, database_answers
from tasks.ingest.isolation import Interrupted
from tasks.ingest.meter import IngestMeter

FIRST_BACKOFF_SECONDS: Final = 0.1
LONGEST_BACKOFF_SECONDS: Final = 5.0

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


def run(settings: Settings | None = None) -> None:
    """Ingest until SIGTERM or SIGINT; what is in hand then is stored and acknowledged first.

    Args:
        settings: read from the environment where not given.
    """
    settings = settings or load_settings()
    with (
        running(settings, ProcessName.INGEST) as (stop, pulse, instruments),
        Publisher(settings, role="ingest publisher") as publisher,
    ):
        meter = IngestMeter(instruments) if instruments is not None else None
        lasting = Lasting(settings, publisher, stop, pulse, meter=meter)
        _log.info("ingest starts", batch_messages=settings.ingest_batch_messages)
        _consume_until_stopped(lasting)
        lasting.tally.tell()
        _log.info("ingest ends", **lasting.tally.totals)


def _consume_until_stopped(lasting: Lasting) -> None:
    backoff = FIRST_BACKOFF_SECONDS
    while not lasting.stop:
        began = monotonic()
        try:
            _consume(lasting)
        except BrokerError as error:
            _log.error("the broker is out of reach", error=str(error))
            lasting.met(Away.BROKER)
        except Interrupted as reason:
            _log.warning("what was in hand is given back", reason=str(reason))
        if lasting.stop:
            return
        lasting.pulse.beat(ready=False)
        lasted = monotonic() - began > LONGEST_BACKOFF_SECONDS
        backoff = FIRST_BACKOFF_SECONDS if lasted else min(2 * backoff, LONGEST_BACKOFF_SECONDS)
        lasting.stop.wait(backoff)


def _consume(lasting: Lasting) -> None:
    """One consumption. Without the database nothing is taken from the broker, for it could only be given back."""
    settings = lasting.settings
    if not database_answers(lasting):
        return
    database_url = settings.database_url.get_secret_value()
    with EventStore(database_url, connections=1, name="ingest") as store, Consumer(settings) as consumer:
        _log.info("ingest consumes")
        Intake(consumer, store, lasting).run()
