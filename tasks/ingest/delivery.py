"""Messages as the broker hands them over."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from infra.cloudevents.encoding import BATCH, STRUCTURED
from infra.tracing import Context

_UNIDENTIFIED: Final = UUID("0192d7a5-7a10-7e55-8c21-696e67657374")
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Delivery(NamedTuple):
    """A message on its way in; a tuple, for there are thousands a second.

    Attributes:
        tag: what the broker calls it on this channel; acknowledged by it.
        content_type: the property, if any.
        headers: the headers, values as pika gives them.
        body: the bytes.
        message_id: the property, if any.
        priority: the property, if any.
        redelivered: whether the broker may have handed it out before.
        received_at: when it was taken in, UTC.
        content_encoding: the property, if any.
    """

    tag: int
    content_type: str | None
    headers: dict[str, Any] | None
    body: bytes
    message_id: str | None
    priority: int | None
    redelivered: bool
    received_at: datetime
    content_encoding: str | None = None

    @property
    def traceparent(self) -> str | None:
        """The trace that its headers name (W3C Trace Context); None where they name none that is usable."""
        told = self.headers.get("traceparent") if self.headers else None
        return str(told) if Context.read(told) else None

    def elements(self) -> list[Delivery]:
        """The elements of a CloudEvents batch as messages of their own; any other message is its own one element."""
        if not (self.content_type or "").strip().lower().startswith(BATCH):
            return [self]
        try:
            texts = _elements.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            return [self]
        return [self._replace(content_type=STRUCTURED, body=bytes(text)) for text in texts]

    def identity(self) -> UUID:
        """A name for a message that cannot be read: the same for the same bytes under the same message id."""
        told = (self.message_id or "").encode(errors="surrogateescape") + b"\0" + self.body
        return uuid5(_UNIDENTIFIED, told.decode("latin-1"))


class Parts:
    """The elements of a message that was read as ``count`` events; split only when one of them is asked for."""

    __slots__ = ("_count", "_elements", "_whole")

    def __init__(self, whole: Delivery, *, count: int) -> None:
        self._whole = whole
        self._count = count
        self._elements: list[Delivery] | None = None

    @property
    def received_at(self) -> datetime:
        """When the message was taken in, UTC."""
        return self._whole.received_at

    def __getitem__(self, index: int) -> Delivery:
        """The element at ``index``; the whole message where its elements are not as many as its events."""
        if self._elements is None:
            self._elements = self._whole.elements()
        return self._elements[index] if len(self._elements) == self._count else self._whole
