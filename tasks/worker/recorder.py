"""The recorder: a thread that gets what is said about attempts confirmed by the broker.

Whatever was said while the last confirm was awaited goes out together, as one message (a natural group commit), and
what nobody waits for is kept back for a moment so that more of it does: a busy worker pays one round trip for many
attempts, an idle one says it at once. What is not confirmed is sent again until it is; ids derive from the attempts,
so a repeat is recognized. The worker's own loop never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol
from uuid import uuid4

import structlog

from infra.broker.errors import BrokerError
from infra.broker.frames import OutgoingMessage
from infra.broker.publisher import Confirmation
from infra.cloudevents import CloudEvent, encode_structured, joined_batch
from infra.cloudevents.text import storable

EXCHANGE: Final = "events"
ROUTING_KEY: Final = "task.lifecycle"
BATCH_BYTES: Final = 256 * 1024
"""How large a message of many events becomes at most; below what ingest accepts, and a frame or two on the wire."""
LINGER_SECONDS: Final = 0.01
"""How long what nobody waits for is kept back for more of it to come."""
MANY_ENTRIES: Final = 64
"""So many are sent at once, whoever waits."""
CONFIRM_WITHIN: Final = timedelta(seconds=10)
KEEP_ALIVE_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0

_log = structlog.get_logger("ledgerq.worker")


class RecorderDiedError(Exception):
    """The thread that records met an error it did not expect; the worker must not go on without it."""


class Sender(Protocol):
    """What the recorder needs of :class:`infra.broker.publisher.Publisher`."""

    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        """Publish all and wait for their confirms."""

    def stay_connected(self, *, timeout: timedelta) -> None:
        """Answer the broker's heartbeats; connect where there is no connection."""

    def close(self) -> None:
        """Say goodbye."""


@dataclass(eq=False)
class Entry:
    """What is to be confirmed before something may happen.

    Attributes:
        events: what is said, once the messages have arrived.
        messages: what is published before, such as the next attempt.
        then: called by :meth:`Recorder.release` once all of it is confirmed.
        is_urgent: whether somebody waits for it; what is not urgent may be kept back for a moment.
    """

    events: Sequence[CloudEvent]
    messages: Sequence[OutgoingMessage] = ()
    then: Callable[[], None] | None = None
    is_urgent: bool = True
    unconfirmed: set[int] = field(default_factory=set)
    """Indexes of what is outstanding: -1 is the events, 0 … the messages."""
    texts: Sequence[bytes] = ()
    """The events as they are sent."""
    size: int = 0
    """How many bytes those take, with what stands between them."""

    def __post_init__(self) -> None:
        self.unconfirmed = set(range(-1 if self.events else 0, len(self.messages)))
        # Ingest reads no U+0000, and a run's end must not be lost for one.
        self.texts = [storable(encode_structured(event).body) for event in self.events]
        self.size = sum(map(len, self.texts)) + 2 * len(self.texts)

    def withdraw(self) -> bool:
        """Leave it all unsaid, unless its messages have arrived; whether that was possible.

        A message that is on its way at this moment may arrive all the same.
        """
        if not self.unconfirmed - {-1}:
            return False
        self.then = None
        self.unconfirmed.clear()
        return True


class Recorder(threading.Thread):
    """Gets entries confirmed, in the background.

    Args:
        sender: used by this thread alone.
        wake: called from this thread when there is something to release.
    """

    def __init__(self, sender: Sender, *, wake: Callable[[], None]) -> None:
        super().__init__(name="recorder", daemon=True)
        self._sender = sender
        self._wake = wake
        self._changed = threading.Condition()
        self._queued: deque[Entry] = deque()
        self._confirmed: deque[Entry] = deque()
        self._outstanding = 0
        self._is_idle = False
        self._is_urgent = False
        self._closing = False
        self._pause_seconds = 0.0
        self._is_cut_off = False
        self._death: Exception | None = None

    def submit(self, entry: Entry) -> None:
        """Have ``entry`` confirmed; returns at once."""
        with self._changed:
            self._queued.append(entry)
            self._outstanding += 1
            if entry.is_urgent or len(self._queued) >= MANY_ENTRIES:
                self._hurry()
            elif self._is_idle:
                self._changed.notify_all()

    @property
    def is_held_up(self) -> bool:
        """Whether what is to be recorded waits, or would wait, for a broker that does not take it."""
        return self._pause_seconds > 0 or self._is_cut_off

    def hurry(self) -> None:
        """Somebody waits for what was submitted so far."""
        with self._changed:
            if self._queued:
                self._hurry()

    def release(self) -> None:
        """Do, on the caller's thread, what waited for the entries confirmed by now.

        Raises:
            RecorderDiedError: the thread met an error it did not expect; nothing is recorded any more.
        """
        while self._confirmed:
            entry = self._confirmed.popleft()
            if entry.then is not None:
                entry.then()
        if self._death is not None:
            raise RecorderDiedError("the recorder died") from self._death

    def flush(self, timeout: timedelta) -> bool:
        """Wait until all that was submitted is confirmed; False where the time did not suffice."""
        self.hurry()
        with self._changed:
            self._changed.wait_for(lambda: not self._outstanding or self._death, timeout.total_seconds())
            return not self._outstanding

    @property
    def outstanding(self) -> int:
        """How many entries are not confirmed yet."""
        return self._outstanding

    def stop(self) -> None:
        """End the thread after what it is doing; what is not confirmed by then stays unsaid."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self.is_alive():
            self.join(CONFIRM_WITHIN.total_seconds() + 1)

    def run(self) -> None:
        """Send, confirm, hand over; until stopped."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001  told on the worker's own thread, which ends the worker
            with self._changed:
                self._death = error
                self._changed.notify_all()
            self._wake()

    def _hurry(self) -> None:
        if not self._is_urgent:
            self._is_urgent = True
            self._changed.notify_all()

    def _work(self) -> None:
        in_work: list[Entry] = []
        self._stay_connected()
        while not self._closing:
            in_work += self._take(waiting=bool(in_work))
            try:
                in_work = self._send(in_work)
            except BrokerError as error:
                self._pause("the broker does not take what is recorded", error)
        try:
            self._sender.close()
        except BrokerError as error:
            _log.debug("recorder closed without a goodbye", detail=str(error))

    def _take(self, *, waiting: bool) -> list[Entry]:
        """What was queued; waits for the first and a moment for others, or for the pause after a failure to pass."""
        with self._changed:
            if waiting:
                self._changed.wait_for(lambda: self._closing, self._pause_seconds)
            else:
                self._is_idle = True
                self._changed.wait_for(lambda: self._closing or self._queued, KEEP_ALIVE_SECONDS)
                self._is_idle = False
                if self._queued:
                    self._changed.wait_for(lambda: self._closing or self._is_urgent, LINGER_SECONDS)
            taken = list(self._queued)
            self._queued.clear()
            self._is_urgent = False
            return taken

    def _send(self, entries: list[Entry]) -> list[Entry]:
        """Publish what is outstanding of ``entries``; returns those of which something still is."""
        if not entries:
            self._stay_connected()
            return []
        refusal = self._publish(list(_parcels(entries)))
        done = [entry for entry in entries if not entry.unconfirmed]
        if refusal is None:
            self._pause_seconds = 0.0
        else:
            self._pause("the broker refused what is recorded", refusal)
        self._hand_over(done)
        return [entry for entry in entries if entry.unconfirmed]

    def _stay_connected(self) -> None:
        """Be logged in before there is something to say: a new password keeps out only whoever connects after it."""
        if self._closing:
            return
        try:
            self._sender.stay_connected(timeout=CONFIRM_WITHIN)
        except BrokerError as error:
            if not self._is_cut_off:
                _log.warning("what is recorded has no connection to the broker", detail=str(error))
            self._is_cut_off = True
        else:
            self._is_cut_off = False

    def _publish(self, parcels: Sequence[_Parcel]) -> str | None:
        """Note what is confirmed; returns what the broker said to something it refused."""
        if not parcels:
            return None
        refusal = None
        confirmations = self._sender.publish([parcel.message for parcel in parcels], timeout=CONFIRM_WITHIN)
        self._is_cut_off = False
        for parcel, confirmation in zip(parcels, confirmations, strict=True):
            if confirmation.confirmed:
                for entry in parcel.entries:
                    entry.unconfirmed.discard(parcel.index)
            else:
                refusal = f"{parcel.message.exchange} {parcel.message.routing_key}: {confirmation.text}"
        return refusal

    def _hand_over(self, done: Sequence[Entry]) -> None:
        if not done:
            return
        self._confirmed.extend(done)
        with self._changed:
            self._outstanding -= len(done)
            self._changed.notify_all()
        self._wake()

    def _pause(self, why: str, detail: object) -> None:
        self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, self._pause_seconds * 2), LONGEST_PAUSE_SECONDS)
        _log.warning(why, detail=str(detail), outstanding=self._outstanding, again_in_seconds=self._pause_seconds)


@dataclass(eq=False)
class _Parcel:
    """One message to publish and the entries that wait for it, each for its ``index``."""

    message: OutgoingMessage
    entries: Sequence[Entry]
    index: int = -1


def _parcels(entries: Sequence[Entry]) -> Iterator[_Parcel]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        waited_for = sorted(entry.unconfirmed - {-1})
        for index in waited_for:
            yield _Parcel(entry.messages[index], [entry], index)
        # What is told of an attempt that another one follows has to be true: the next message first.
        if -1 in entry.unconfirmed and not waited_for:
            size += entry.size
            if batch and size > BATCH_BYTES:
                yield _Parcel(_batch_message(batch), batch)
                batch, size = [], entry.size
            batch.append(entry)
    if batch:
        yield _Parcel(_batch_message(batch), batch)


def _batch_message(entries: Sequence[Entry]) -> OutgoingMessage:
    encoded = joined_batch([text for entry in entries for text in entry.texts])
    return OutgoingMessage(
        exchange=EXCHANGE,
        routing_key=ROUTING_KEY,
        body=encoded.body,
        content_type=encoded.content_type,
        headers=encoded.headers,
        message_id=str(uuid4()),
    )
