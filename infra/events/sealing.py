"""Sealing: follows each log's safe position and puts what has become final under a seal, beside the append path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Self

import structlog

from infra.database import connect
from infra.database.errors import database_faults
from infra.event_store.log import Log
from infra.events.seal import Seal, make_seal
from infra.events.seals import SealTable
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from infra.settings import Settings

BLOCK_EVENTS: Final = {Log.LICENSING: 1000, Log.TASKS: 1000, Log.HEARTBEATS: 50}
"""Events under one seal at most: milliseconds of work. One of the heartbeats log may be a hundred kilobytes."""
LOOK_EVERY: Final = timedelta(seconds=1)
COMPLAIN_EVERY: Final = timedelta(minutes=1)

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)


class SealDoubtfulError(Exception):
    """The newest seal was not signed with the key in force; who knows who made it. Nothing is sealed after it."""

    def __init__(self, seal: Seal, reason: str) -> None:
        self.seal = seal
        advice = "run `ledgerq events verify`; if it is as it should be, `ledgerq events seal --adopt` goes on from it"
        super().__init__(f"seal {seal.number} of log {seal.log.value} {reason}; {advice}")


def seal_next(
    seals: SealTable, log: Log, *, now: datetime, wait: timedelta, key: bytes | None, adopt: bool = False
) -> Seal | None:
    """Seal the next block of a log, or what there is of it once its first event is older than ``wait``.

    Args:
        seals: where.
        log: which log.
        now: the present, by which the age of events is judged.
        wait: how long a block may take to fill.
        key: to sign with; None: seals are not signed.
        adopt: go on from a newest seal that was not signed with the key.

    Returns:
        the new seal; None: there was nothing to seal, or somebody else has.

    Raises:
        SealDoubtfulError: the newest seal was not signed with ``key``, or is signed and there is no key.
    """
    last = seals.last(log)
    if last is not None and not adopt:
        _check(last, key)
    after, upto = last.upto_position if last else 0, seals.safe_position(log)
    if upto <= after:
        return None
    block = BLOCK_EVENTS[log]
    waiting = seals.waiting(log, after=after, upto=upto, block=block)
    if waiting.since is None or not (waiting.fills_block or now - waiting.since >= wait):
        return None
    leaves = seals.leaves(log, after=after, upto=upto, limit=block)
    made = make_seal(log, leaves, previous=last, sealed_at=now, key=key)
    return made if seals.add(made) else None


def seal_all(seals: SealTable, log: Log, *, now: datetime, key: bytes | None, adopt: bool = False) -> Iterator[Seal]:
    """Seal all that is final, block by block; errors as of :func:`seal_next`."""
    while made := seal_next(seals, log, now=now, wait=timedelta.min, key=key, adopt=adopt):
        yield made
        adopt = False


class Sealing:
    """Keeps the logs sealed, a block at a time, on a connection of its own.

    Every new head is told in the process's log, which should be kept where the database's administrators cannot write.
    Use it as a context manager, in the one process that leads.
    """

    def __init__(self, settings: Settings, *, instruments: Instruments | None = None) -> None:
        self._instruments = instruments
        if instruments is not None:  # there from the start: none was refused yet
            for log in Log:
                instruments.counter(catalog.SEAL_REFUSALS, log.value)
        self._key = settings.seal_key_bytes
        self._wait = timedelta(seconds=settings.seal_interval_seconds)
        self._connection = connect(settings, name="sealing")
        self._seals = SealTable(self._connection)
        self._next_look: dict[Log, datetime] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def step(self, now: datetime) -> bool:
        """Seal a block of each log that has one ready; whether there may be more at once.

        Raises:
            DatabaseUnreachableError: the database is away.
        """
        due = [log for log in Log if log not in self._next_look or now >= self._next_look[log]]
        with database_faults(self._connection):
            more = [self._step(log, now) for log in due]
        return any(more)

    def _step(self, log: Log, now: datetime) -> bool:
        try:
            made = seal_next(self._seals, log, now=now, wait=self._wait, key=self._key)
        except SealDoubtfulError as error:
            _LOG.error("not sealed", log=log.value, reason=str(error))
            self._next_look[log] = now + COMPLAIN_EVERY
            if self._instruments is not None:
                self._instruments.counter(catalog.SEAL_REFUSALS, log.value).inc()
            return False
        if made is not None:
            if self._instruments is not None:
                self._instruments.counter(catalog.SEALED_EVENTS, log.value).inc(made.event_count)
            _LOG.info("sealed", head=made.head, number=made.number, events=made.event_count)
        is_full = made is not None and made.event_count == BLOCK_EVENTS[log]
        self._next_look[log] = now if is_full else now + LOOK_EVERY
        return is_full


def _check(last: Seal, key: bytes | None) -> None:
    if key is None and last.signature is not None:
        raise SealDoubtfulError(last, "is signed, and there is no LEDGERQ_SEAL_KEY to go on with")
    if key is not None and not last.is_signed_with(key):
        what = "is not signed" if last.signature is None else "was signed with another key"
        raise SealDoubtfulError(last, f"{what}, and LEDGERQ_SEAL_KEY is set")
