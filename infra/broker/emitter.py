"""The emitter: how a service written in Python tells what happened, and knows that it arrived.

Services in other languages do the same with any AMQP 0-9-1 client: docs/reference/messages.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import Final, NamedTuple, Self

from infra.broker.errors import BrokerError
from infra.broker.publisher import Confirmation, OutgoingMessage, Publisher
from infra.broker.topology import EVENTS
from infra.cloudevents import CloudEvent, Encoded, encode_binary, encode_structured, new_event
from infra.cloudevents.encoding import BATCH
from infra.settings import Settings
from infra.tracing import harmless, start
from infra.tracing.emitting import Publication

__all__ = ["Emitter", "Mode", "NotEmittedError", "new_event"]

BATCH_EVENTS: Final = 1000
"""Most events in one message of batch mode."""
BATCH_BYTES: Final = 262_144
"""Size at which a batch is closed and the next begun; far below the smallest limit ingest is run with."""
TIMEOUT: Final = timedelta(seconds=10)


class Mode(StrEnum):
    """How events are put into messages (CloudEvents AMQP binding)."""

    STRUCTURED = "structured"
    BINARY = "binary"
    BATCH = "batch"


class NotEmittedError(BrokerError):
    """The broker refused or returned some of the events; emitting those again under their ids does no harm.

    Attributes:
        events: those that did not arrive.
    """

    def __init__(self, text: str, events: Sequence[CloudEvent]) -> None:
        super().__init__(text)
        self.events = tuple(events)


class _Parcel(NamedTuple):
    message: OutgoingMessage
    events: Sequence[CloudEvent]


class Emitter:
    """Emits events and returns when the broker has them. For one thread, over a connection of its own.

    Args:
        settings: for ``broker_url``, and for spans (``tracing_…``).
        role: who emits, for the connection's name in the management UI.
        timeout: for one call, however many events.
    """

    def __init__(self, settings: Settings, *, role: str, timeout: timedelta = TIMEOUT) -> None:
        self._publisher = Publisher(settings, role=role)
        self._timeout = timeout
        with harmless:
            start(settings, service=role)

    def close(self) -> None:
        """Close the connection; the next call would open another."""
        self._publisher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def emit(self, event: CloudEvent, *, mode: Mode | str = Mode.STRUCTURED) -> None:
        """Emit one event. Raises as :meth:`emit_all` does."""
        self.emit_all([event], mode=mode)

    def emit_batch(self, events: Sequence[CloudEvent]) -> int:
        """Emit many events in few messages; the way for heartbeats. Returns and raises as :meth:`emit_all` does."""
        return self.emit_all(events, mode=Mode.BATCH)

    def emit_all(self, events: Sequence[CloudEvent], *, mode: Mode | str = Mode.STRUCTURED) -> int:
        """Emit many events in one pipelined publish.

        Returns:
            how many messages they took.

        Raises:
            NotEmittedError: some were refused or returned; it says which. The others have arrived.
            BrokerUnreachableError: any number of them may have arrived; emit all again, their ids tell repeats.
            PublishTimeoutError: likewise.
            BrokerRefusedError: likewise, once the topology stands.
        """
        publication = Publication(events)
        parcels = list(_parcels(publication.events, Mode(mode)))
        with publication:
            confirmations = self._publisher.publish([parcel.message for parcel in parcels], timeout=self._timeout)
            refused = [
                (parcel, confirmation)
                for parcel, confirmation in zip(parcels, confirmations, strict=True)
                if not confirmation.confirmed
            ]
            if refused:
                lost = publication.lose([event for parcel, _ in refused for event in parcel.events])
                raise _not_emitted(lost, [confirmation for _, confirmation in refused], len(events))
        return len(parcels)


def _not_emitted(lost: Sequence[CloudEvent], answers: Sequence[Confirmation], total: int) -> NotEmittedError:
    reasons = sorted({f"{answer.outcome.value}: {answer.text}" for answer in answers})
    return NotEmittedError(f"{len(lost)} of {total} events did not arrive ({'; '.join(reasons)})", lost)


def _parcels(events: Sequence[CloudEvent], mode: Mode) -> Iterator[_Parcel]:
    if mode is Mode.BATCH:
        yield from (_parcel(encoded, group) for encoded, group in _groups(events))
        return
    encode = encode_binary if mode is Mode.BINARY else encode_structured
    for event in events:
        yield _parcel(encode(event), [event])


def _groups(events: Sequence[CloudEvent]) -> Iterator[tuple[Encoded, list[CloudEvent]]]:
    texts: list[bytes] = []
    group: list[CloudEvent] = []
    size = 0
    for event in events:
        text = encode_structured(event).body
        if group and (len(group) == BATCH_EVENTS or size + len(text) > BATCH_BYTES):
            yield _joined(texts), group
            texts, group, size = [], [], 0
        texts.append(text)
        group.append(event)
        size += len(text)
    if group:
        yield _joined(texts), group


def _joined(texts: Sequence[bytes]) -> Encoded:
    return Encoded(BATCH, {}, b"[" + b",".join(texts) + b"]")


def _parcel(encoded: Encoded, events: Sequence[CloudEvent]) -> _Parcel:
    first = events[0]
    message = OutgoingMessage(
        exchange=EVENTS,
        routing_key=first.type,
        body=encoded.body,
        message_id=str(first.unique_id),
        content_type=encoded.content_type,
        headers={**encoded.headers, **(_trace_headers(first) if len(events) == 1 else {})},
        type=first.type,
    )
    return _Parcel(message, events)


def _trace_headers(event: CloudEvent) -> dict[str, str]:
    """Where tools look for the trace of a message that know nothing of CloudEvents."""
    told = {"traceparent": event.traceparent, "tracestate": event.tracestate}
    return {name: text for name, text in told.items() if text is not None}
