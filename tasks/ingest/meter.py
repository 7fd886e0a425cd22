"""What ingest shows of its work, as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from domain.blindness import Away
from infra.broker.topology import DEAD_RECORD, INGEST
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from tasks.ingest.delivery import Delivery
from tasks.ingest.reading import Reading
from tasks.ingest.rejection import FAULT, INVALID, TOO_LARGE, UNKNOWN_TYPE, UNREADABLE, Rejected

_REASONS: Final = (FAULT, INVALID, TOO_LARGE, UNKNOWN_TYPE, UNREADABLE)
_DEATHS: Final = frozenset({"rejected", "expired", "maxlen", "delivery_limit", "unknown"})


class IngestMeter:
    """Counts by the batch, so that a message costs nothing of its own.

    Args:
        instruments: those of ingest.
    """

    def __init__(self, instruments: Instruments) -> None:
        self._messages = {q: instruments.counter(catalog.INGEST_MESSAGES, q) for q in (INGEST, DEAD_RECORD)}
        self._batches = {q: instruments.histogram(catalog.INGEST_BATCH, q) for q in (INGEST, DEAD_RECORD)}
        self._append = {q: instruments.histogram(catalog.INGEST_APPEND, q) for q in (INGEST, DEAD_RECORD)}
        self._age = instruments.histogram(catalog.INGEST_AGE)
        self._outages = {away: instruments.counter(catalog.INGEST_OUTAGES, away.value) for away in Away}
        self._instruments = instruments
        for reason in _REASONS:
            instruments.counter(catalog.INGEST_REJECTED, reason)
        for reason in _DEATHS:
            instruments.counter(catalog.DEAD_LETTERS, reason)

    def stored(self, deliveries: Sequence[Delivery], reading: Reading, *, seconds: float) -> None:
        """A batch of queue ``ingest`` is committed; it took ``seconds``."""
        self._count(INGEST, len(deliveries), seconds=seconds)
        firsts = [each.at for each in reading.heartbeats[:1]] + [each.event.time for each in reading.told[:1]]
        if firsts:
            self._age.observe(max(0.0, (datetime.now(UTC) - min(firsts)).total_seconds()))

    def recorded(self, reasons: Sequence[str], *, seconds: float) -> None:
        """Dead letters of tasks are committed, each with why it died; it took ``seconds``."""
        self._count(DEAD_RECORD, len(reasons), seconds=seconds)
        for reason in reasons:
            known = reason if reason in _DEATHS else catalog.OTHER  # a broker to come may have others
            self._instruments.counter(catalog.DEAD_LETTERS, known).inc()

    def rejected(self, rejected: Iterable[Rejected]) -> None:
        """What was not taken in; reasons are names of our own and few."""
        for each in rejected:
            self._instruments.counter(catalog.INGEST_REJECTED, each.reason).inc()

    def met(self, away: Away) -> None:
        """The broker or the database was away."""
        self._outages[away].inc()

    def _count(self, queue: str, messages: int, *, seconds: float) -> None:
        self._messages[queue].inc(messages)
        self._batches[queue].observe(messages)
        self._append[queue].observe(seconds)
