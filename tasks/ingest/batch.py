"""Taking a batch in: fetch, already done?, decide, append; everything in one transaction over the logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from domain.fan_in import FanInDeclaredData
from domain.ingest import MessageDeadLettered, dead_message_stream
from domain.license import license_stream
from domain.messages import WatermarkData
from domain.refusal import Refusal
from domain.task_group import GroupSavedData
from infra.event_store import EventStore, Log, NewEvent, Transaction
from infra.event_store.seats import lock_licenses, taken_seats
from infra.settings import Settings
from tasks.ingest import licensing, runs
from tasks.ingest.admission import Admission
from tasks.ingest.blindness import Blindness
from tasks.ingest.delivery import Delivery
from tasks.ingest.fan_ins import declared
from tasks.ingest.heartbeats import packed
from tasks.ingest.meter import IngestMeter
from tasks.ingest.reading import Reading, Told, read
from tasks.ingest.rejection import Rejected
from tasks.ingest.spans import tell_ingested
from tasks.ingest.watermark import LogTime

_ONCE: Final = (FanInDeclaredData, GroupSavedData)
"""What clients tell of runs that they send together; told again it changes nothing."""


class Decisions(NamedTuple):
    """What is to be appended because of a batch."""

    licensing: list[NewEvent]
    runs: list[runs.Decided]
    windows: list[NewEvent]
    watermarks: list[NewEvent]
    rejected: list[Rejected]
    fan_ins: list[NewEvent]


class Batches:
    """Takes batches of messages in.

    Args:
        store: where to.
        settings: for the size limit, the default patience and the limit of the backlog.
        log_time: which markers count; it remembers.
        blindness: what it has missed; it remembers.
        in_company: whether other processes consume the queue at this moment; asked when a marker comes through.
        meter: told of what is stored.
    """

    def __init__(
        self,
        store: EventStore,
        settings: Settings,
        *,
        log_time: LogTime,
        blindness: Blindness,
        in_company: Callable[[], bool],
        meter: IngestMeter | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._in_company = in_company
        self._log_time = log_time
        self._blindness = blindness
        self._meter = meter
        self._admission = Admission(store, limit_runs=settings.tier_backlog_limit_runs)

    def take(self, deliveries: Sequence[Delivery], *, again: bool = False) -> list[Rejected]:
        """Store what the messages say, in one transaction; once it returns they may be acknowledged.

        Args:
            deliveries: in order of arrival.
            again: they may have been taken in before, whatever the broker says.

        Returns:
            the messages and elements that were not taken in; that is recorded, and they have yet to be sent to
            ``ingest.dead``.

        Raises:
            LostRaceError: another writer was faster on one of the streams; nothing is stored.
        """
        began = monotonic()
        reading = read(deliveries, limit_bytes=self._settings.message_limit_bytes)
        rejections = self._rejections(reading.told, again=again)
        decisions = self._decide(reading, rejections)
        about = [each for each in reading.told if each.event.type in licensing.HANDLERS]
        with self._store.transaction() as transaction:
            self._decide_licensing(transaction, [each for each in about if each.cause.id not in rejections], decisions)
            rejected = self._append(transaction, reading, decisions)
        self._blindness.stored(decisions.watermarks)
        tell_ingested(reading.told, rejected, messages=len(deliveries))
        if self._meter is not None:
            self._meter.stored(deliveries, reading, seconds=monotonic() - began)
        return rejected

    def reject(self, rejected: Rejected) -> None:
        """Record that a message is not taken in."""
        self._store.append_each(Log.LICENSING, [rejected.fact()])

    def _rejections(self, told: Sequence[Told], *, again: bool) -> dict[UUID, MessageDeadLettered]:
        """What the log says, by the message's id, of messages that were rejected before.

        It counts only for a message that may be the very same one; sent anew, a message may have its chance.
        """
        dead = {each.cause.id: dead_message_stream(each.cause.id) for each in told if again or each.redelivered}
        letters = self._store.load(Log.LICENSING, dead.values()) if dead else {}
        found = {message: letters[stream][0] for message, stream in dead.items() if stream in letters}
        return {message: fact for message, fact in found.items() if isinstance(fact, MessageDeadLettered)}

    def _decide(self, reading: Reading, rejections: Mapping[UUID, MessageDeadLettered]) -> Decisions:
        told = [each for each in reading.told if each.cause.id not in rejections]
        decisions = Decisions([], [], [], [], list(reading.rejected), [])
        for each in reading.told:
            if fact := rejections.get(each.cause.id):
                decisions.rejected.append(each.refused(reason=fact.reason, detail=fact.detail))
        decisions.fan_ins.extend(declared(each) for each in told if isinstance(each.data, _ONCE))
        self._decide_runs([each for each in told if runs.is_about_runs(each.event.type)], decisions)
        if markers := [each for each in told if isinstance(each.data, WatermarkData)]:
            self._pass_time(markers, decisions)
        return decisions

    def _pass_time(self, markers: Sequence[Told], decisions: Decisions) -> None:
        now = datetime.now(UTC)
        passed = self._log_time.passed(markers, in_company=self._in_company(), now=now)
        is_held_back = self._log_time.is_held_back(now=now)
        decisions.windows.extend(self._blindness.windows(passed, store=self._store, in_company=is_held_back))
        decisions.watermarks.extend(passed)

    def _decide_licensing(self, transaction: Transaction, told: Sequence[Told], decisions: Decisions) -> None:
        """In the transaction that appends, for nobody else may give the same seat away meanwhile."""
        if not told:
            return
        streams = transaction.load(Log.LICENSING, licensing.streams_of(told))
        known = licensing.Known(streams, default_patience=self._settings.default_patience)
        if locked := licensing.locked_for(known, told):
            lock_licenses(transaction.connection, locked)
            again = transaction.load(Log.LICENSING, {license_stream(each) for each in locked})
            known.look_again(again, taken_seats(transaction.connection, locked))
        # Asked after loading: what another ingest stores in between is then known, or its place in the stream is taken.
        handled = transaction.known_event_ids(Log.LICENSING, {each.cause.event_id(0) for each in told})
        for each in told:
            if each.cause.event_id(0) in handled:
                continue
            handled.add(each.cause.event_id(0))
            try:
                decisions.licensing.extend(licensing.decide(known, each))
            except Refusal as refusal:
                decisions.rejected.append(each.refused(reason=refusal.code, detail=str(refusal)))

    def _decide_runs(self, told: Sequence[Told], decisions: Decisions) -> None:
        decided = runs.decide_all(self._store, told, admission=self._admission)
        decisions.runs.extend(decided.facts)
        for each, refusal in decided.refused:
            decisions.rejected.append(each.refused(reason=refusal.code, detail=str(refusal)))

    def _append(self, transaction: Transaction, reading: Reading, decisions: Decisions) -> list[Rejected]:
        rejected = list(decisions.rejected)
        # A window before the watermark that ends it: nobody is to know of the new log time and not of the window.
        heartbeats = [*packed(reading.heartbeats), *decisions.windows, *decisions.watermarks]
        if decisions.licensing:
            transaction.append(Log.LICENSING, decisions.licensing)
        if decisions.fan_ins:
            transaction.append_each(Log.TASKS, decisions.fan_ins)  # one that is declared, or saved, already is so
        if decisions.runs:
            is_compressed = self._settings.result_compression != "none"
            for told, refusal in runs.append(transaction, decisions.runs, is_compressed=is_compressed):
                rejected.append(told.refused(reason=refusal.code, detail=str(refusal)))
        if heartbeats:
            transaction.append_each(Log.HEARTBEATS, heartbeats)
        if rejected:
            transaction.append_each(Log.LICENSING, [each.fact() for each in rejected])
        return rejected
