"""Gathering batches from the broker: one connection, a channel for each queue."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

import pika

from infra.broker.connection import broker_faults, connect
from infra.broker.errors import BrokerError, BrokerUnreachableError
from infra.broker.odd_headers import tolerate_odd_headers
from infra.broker.topology import DEAD_RECORD, INGEST
from infra.settings import Settings
from tasks.ingest.delivery import Delivery

BATCH_BYTES: Final = 16_777_216
"""A batch is full at this many bytes of bodies, however few messages; it bounds the memory."""
LETTERS_PREFETCH: Final = 100
LONGEST_LINGERS: Final = 5
"""A batch that keeps filling slowly is closed after so many times the linger."""


class Inbox:
    """One queue, consumed: what has been delivered and not yet been taken.

    Args:
        channel: a channel of its own, since acknowledging covers everything earlier on the channel.
        queue: the queue's name.
        prefetch: how many messages may be unacknowledged at once.
        settings: for the broker's address in errors.
    """

    def __init__(self, channel: Any, queue: str, *, prefetch: int, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings
        self.queue = queue
        self._full = prefetch
        self._waiting: list[Delivery] = []
        self._bytes = 0
        channel.basic_qos(prefetch_count=prefetch)
        channel.add_on_cancel_callback(self._on_cancel)
        channel.basic_consume(queue, self._on_message, consumer_tag=f"ingest@{socket.gethostname()}:{os.getpid()}")

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether a batch should not wait for more."""
        return len(self._waiting) >= self._full or self._bytes >= BATCH_BYTES

    def take(self) -> list[Delivery]:
        """Everything that is there; it stays unacknowledged."""
        taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge the last of them and all before it."""
        with broker_faults(self._settings):
            self._channel.basic_ack(deliveries[-1].tag, multiple=True)

    def consumers(self) -> int:
        """How many consumers the queue has at this moment, this one included."""
        with broker_faults(self._settings):
            count: int = self._channel.queue_declare(self.queue, passive=True).method.consumer_count
        return count

    def _on_message(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._waiting.append(
            Delivery(
                method.delivery_tag,
                _text(properties.content_type),
                {_text(name): value for name, value in properties.headers.items()} if properties.headers else None,
                body,
                _text(properties.message_id),
                properties.priority,
                method.redelivered,
                datetime.now(UTC),
                _text(properties.content_encoding),
            )
        )
        self._bytes += len(body)

    def _on_cancel(self, _frame: Any) -> None:
        raise BrokerUnreachableError(f"the broker ended the consumption of queue {self.queue}")


class Consumer:
    """Both of ingest's queues over one connection.

    Args:
        settings: for the broker, the batch size and the linger.

    Raises:
        BrokerUnreachableError: from every method, when there is no connection or it breaks.
        BrokerRefusedError: likewise, when a queue does not exist or the login is refused.
    """

    def __init__(self, settings: Settings) -> None:
        tolerate_odd_headers()
        self._settings = settings
        self._connection: pika.BlockingConnection = connect(settings, role="ingest")
        with broker_faults(settings):
            self.events = self._inbox(INGEST, prefetch=settings.ingest_batch_messages)
            self.letters = self._inbox(DEAD_RECORD, prefetch=LETTERS_PREFETCH)

    def gather(self, *, patience_seconds: float) -> None:
        """Wait for messages, then until a batch is full or nothing has come for the linger."""
        self._process(patience_seconds)
        linger = self._settings.ingest_linger_ms / 1000
        closing = monotonic() + LONGEST_LINGERS * linger
        seen = 0
        while len(self.events) > seen and not self.events.is_full and monotonic() < closing:
            seen = len(self.events)
            self._process(linger)

    def pause(self, seconds: float) -> None:
        """Wait without losing the connection; messages that come meanwhile are kept."""
        with broker_faults(self._settings):
            self._connection.sleep(seconds)

    def close(self) -> None:
        """Give back what has not been acknowledged and close the connection."""
        with suppress(BrokerError), broker_faults(self._settings):  # found dead: nothing depends on it any more
            if self._connection.is_open:
                self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _inbox(self, queue: str, *, prefetch: int) -> Inbox:
        return Inbox(self._connection.channel(), queue, prefetch=prefetch, settings=self._settings)

    def _process(self, seconds: float) -> None:
        with broker_faults(self._settings):
            self._connection.process_data_events(time_limit=seconds)


def _text(value: str | bytes | None) -> Any:
    """What pika leaves as bytes is not UTF-8; whatever it was meant to be, it is made text that is."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
