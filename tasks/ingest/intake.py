"""One consumption, from its connections to broker and database until one of them is lost or it is told to stop."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import Final

import structlog

from domain.blindness import Away
from infra.broker.errors import BrokerError
from infra.broker.publisher import Publisher
from infra.database import DatabaseUnreachableError, connect
from infra.event_store import EventStore
from infra.pulse import Pulse
from infra.settings import Settings
from infra.stopping import StopRequest
from tasks.ingest.batch import Batches
from tasks.ingest.blindness import Blindness
from tasks.ingest.consumer import Consumer, Inbox
from tasks.ingest.isolation import Interrupted, Isolation, Taking
from tasks.ingest.letters import Letters
from tasks.ingest.meter import IngestMeter
from tasks.ingest.sending import DeadLetterOffice, Markers
from tasks.ingest.tally import Tally
from tasks.ingest.watermark import GIVE_BACK, LogTime

PATIENCE_SECONDS: Final = 0.5
"""How long it waits for messages before it looks whether it is to stop."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


class Lasting:
    """What outlives a consumption.

    Args:
        settings: everything about connections, batches and intervals.
        publisher: for markers and for ``ingest.dead``.
        stop: the request to end.
        pulse: what says that the process works.
        meter: told of what is stored, rejected and met; None: metrics are off.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        stop: StopRequest,
        pulse: Pulse,
        *,
        meter: IngestMeter | None = None,
    ) -> None:
        self.settings = settings
        self.publisher = publisher
        self.stop = stop
        self.pulse = pulse
        self.meter = meter
        self.log_time = LogTime()
        self.blindness = Blindness(interval=timedelta(seconds=settings.watermark_interval_seconds))
        self.markers = Markers(
            publisher,
            every_seconds=settings.watermark_interval_seconds,
            on_loss=lambda: self.met(Away.BROKER),
        )
        self.tally = Tally()

    def met(self, away: Away) -> None:
        """Something is out of reach at this moment."""
        self.blindness.notice(away)
        if self.meter is not None:
            self.meter.met(away)


class Intake:
    """Gathers, stores, and only then acknowledges.

    Args:
        consumer: an open one.
        store: an open one.
        lasting: everything else.
    """

    def __init__(self, consumer: Consumer, store: EventStore, lasting: Lasting) -> None:
        self._consumer = consumer
        self._lasting = lasting
        self._batches = Batches(
            store,
            lasting.settings,
            log_time=lasting.log_time,
            blindness=lasting.blindness,
            in_company=self._in_company,
            meter=lasting.meter,
        )
        limit = lasting.settings.letter_body_limit_bytes
        self._letters = Letters(store, body_limit_bytes=limit, meter=lasting.meter)
        self._isolation = Isolation(
            reject=self._batches.reject, database_answers=self._database_answers, pause=self._pause
        )
        self._office = DeadLetterOffice(lasting.publisher, pause=self._pause)
        self._in_hand_since = 0.0

    def run(self) -> None:
        """Until told to stop; the batch in hand is finished.

        Raises:
            BrokerError: the connection is lost. What was in hand will be delivered again.
            Interrupted: what was in hand could not be stored for too long; closing the consumer gives it back.
        """
        while not self._lasting.stop:
            self._lasting.pulse.beat(ready=True)
            self._consumer.gather(patience_seconds=PATIENCE_SECONDS)
            self._take(self._consumer.events, self._batches.take)
            self._take(self._consumer.letters, self._letters.take)
            self._lasting.markers.send_if_due()

    def _take(self, inbox: Inbox, take: Taking) -> None:
        deliveries = inbox.take()
        if not deliveries:
            return
        self._in_hand_since = monotonic()
        rejected = self._isolation.see_through(take, deliveries)
        self._office.send(rejected)
        inbox.acknowledge(deliveries)
        if rejected and self._lasting.meter is not None:
            self._lasting.meter.rejected(rejected)
        self._lasting.tally.add(messages=len(deliveries), batches=1, rejected=len(rejected))

    def _pause(self, seconds: float) -> None:
        """Wait with messages in hand."""
        self._lasting.pulse.beat(ready=False)
        if self._lasting.stop:
            raise Interrupted("the process is to stop")
        if monotonic() - self._in_hand_since > GIVE_BACK.total_seconds():
            raise Interrupted(f"it could not be stored within {GIVE_BACK.total_seconds():.0f} s")
        try:
            self._consumer.pause(seconds)
        except BrokerError as error:
            raise Interrupted(str(error)) from error

    def _in_company(self) -> bool:
        try:
            return self._consumer.events.consumers() > 1
        except BrokerError as error:
            raise Interrupted(str(error)) from error

    def _database_answers(self) -> bool:
        return database_answers(self._lasting)


def database_answers(lasting: Lasting) -> bool:
    """Whether a connection to the database can be had at this moment; one that cannot is noticed."""
    try:
        connect(lasting.settings, name="ingest, asking").close()
    except DatabaseUnreachableError as error:
        _log.error("the database does not answer", error=str(error))
        lasting.met(Away.DATABASE)
        return False
    return True
