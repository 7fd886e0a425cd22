"""One connection and one channel in confirm mode: a batch is written ahead of its confirms."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ssl import SSLSocket
from time import monotonic
from typing import Any, Final

import amqp

from infra.broker.confirmation import Batch, Confirmation, Outcome
from infra.broker.connection import CONNECT_TIMEOUT, broker_faults, open_amqp
from infra.broker.errors import PublishTimeoutError
from infra.broker.frames import OutgoingMessage, publish_frames
from infra.settings import Settings

_CHUNK_BYTES: Final = 65_536
"""Written at once; between two chunks the confirms that have come are read, so neither side's buffers fill."""
_TICK_SECONDS: Final = 1.0
"""Longest wait in one piece, so that heartbeats go out."""


class Pipeline:
    """Not reusable after an error: close it and open another.

    Raises:
        BrokerUnreachableError: from every method, when there is no connection or it breaks.
        BrokerRefusedError: when the broker closes the channel, or refuses the login.
    """

    def __init__(self, settings: Settings, *, role: str, timeout: timedelta = CONNECT_TIMEOUT) -> None:
        self._settings = settings
        self._blocked = False
        self._published = 0
        self._batch = Batch((), first_tag=1)
        self._connection = open_amqp(settings, role=role, timeout=timeout)
        self._connection.on_blocked = self._on_blocked
        self._connection.on_unblocked = self._on_unblocked
        self._connection.sock.settimeout(timeout.total_seconds())
        try:
            with broker_faults(settings):
                self._channel = self._connection.channel()
                self._channel.confirm_select()
        except BaseException:
            self.abandon()
            raise
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)

    def publish(self, messages: Sequence[OutgoingMessage], deadline: float) -> list[Confirmation]:
        """Write all, then wait until all are settled.

        Args:
            messages: in the order in which they are to be published.
            deadline: on the clock of :func:`time.monotonic`.

        Raises:
            PublishTimeoutError: some were not settled by the deadline.
            ValueError: a message cannot be put into frames; none was sent.
        """
        frames = [
            publish_frames(message, channel=self._channel.channel_id, frame_max=self._connection.frame_max)
            for message in messages
        ]
        self._batch = batch = Batch(messages, first_tag=self._published + 1)
        self._published += len(messages)
        with broker_faults(self._settings):
            try:
                for chunk in _chunks(frames):
                    self._write(chunk, deadline)
                    self._read_what_is_there(deadline)
                while batch.unsettled:
                    self._read(deadline)
            except TimeoutError:
                raise self._timed_out() from None
        return batch.confirmations()

    def keep_alive(self) -> None:
        """Read what the broker has sent, and send a heartbeat if one is due."""
        with broker_faults(self._settings):
            self._read_what_is_there(monotonic() + _TICK_SECONDS)
            self._connection.heartbeat_tick()

    def close(self) -> None:
        """Say goodbye, or just close where the broker does not listen."""
        if self._blocked or not self._connection.connected:
            self.abandon()
            return
        self._connection.sock.settimeout(_TICK_SECONDS)
        try:
            self._connection.close()
        except (amqp.exceptions.AMQPError, OSError):
            self.abandon()

    def abandon(self) -> None:
        """Close the socket without a word to the broker."""
        if self._connection.connected:
            self._connection.sock.settimeout(_TICK_SECONDS)  # TLS would wait for the broker's goodbye
        self._connection.collect()

    def disown(self) -> None:
        """In a forked child: let go of the socket. Shutting it down would end the parent's connection."""
        if self._connection.connected:
            os.close(self._connection.sock.detach())

    def _write(self, chunk: bytes, deadline: float) -> None:
        with self._connection.transport.having_timeout(_remaining(deadline)):
            self._connection.transport.write(chunk)

    def _read(self, deadline: float) -> None:
        try:
            self._connection.blocking_read(min(_remaining(deadline), _TICK_SECONDS))
        except TimeoutError:
            _remaining(deadline)
            self._connection.heartbeat_tick()

    def _read_what_is_there(self, deadline: float) -> None:
        while self._readable():
            self._read(deadline)

    def _readable(self) -> bool:
        sock = self._connection.sock
        if isinstance(sock, SSLSocket) and sock.pending():
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def _timed_out(self) -> PublishTimeoutError:
        cause = "; an alarm makes it block publishers" if self._blocked else ""
        return PublishTimeoutError(
            f"{self._batch.unsettled} of {len(self._batch)} messages not confirmed in time{cause}"
        )

    def _on_blocked(self, reason: str) -> None:
        del reason
        self._blocked = True

    def _on_unblocked(self) -> None:
        self._blocked = False

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001  py-amqp's signature
        self._batch.settle(tag, Outcome.CONFIRMED, multiple=multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001  py-amqp's signature
        self._batch.settle(tag, Outcome.NACKED, multiple=multiple)

    def _on_return(self, error: Any, exchange: str, routing_key: str, message: Any) -> None:
        key = (exchange, routing_key, message.properties.get("message_id", ""))
        self._batch.note_return(key, f"{error.reply_code} {error.reply_text}")


def _remaining(deadline: float) -> float:
    remaining = deadline - monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _chunks(frames: Sequence[bytes]) -> Iterator[bytes]:
    chunk: list[bytes] = []
    size = 0
    for frame in frames:
        chunk.append(frame)
        size += len(frame)
        if size >= _CHUNK_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)
