"""What becomes of published messages, counted as the broker counts: one delivery tag per message, upwards from 1."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple

from infra.broker.frames import OutgoingMessage

_NACKED: Final = "refused by the broker: no queue is bound for it, or one is full or failed"

Address = tuple[str, str, str]
"""Exchange, routing key and message id, empty if it has none: what a returned message is known by."""


class Outcome(Enum):
    """What the broker said to a message."""

    CONFIRMED = "confirmed"
    """It is in a queue, on disk where both message and queue are durable."""
    RETURNED = "returned"
    """No queue was bound for it; nothing keeps it."""
    NACKED = "nacked"
    """It was refused: no queue was bound for it and queue ``unrouted`` keeps a copy, or a queue is full or failed."""


class Confirmation(NamedTuple):
    """One message's outcome, and the broker's words where it has any."""

    outcome: Outcome
    text: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether the message has arrived. If not, it is still the publisher's."""
        return self.outcome is Outcome.CONFIRMED


class Batch:
    """Messages published together, and which of them are settled.

    Args:
        messages: in the order of publishing.
        first_tag: delivery tag of the first.
    """

    def __init__(self, messages: Sequence[OutgoingMessage], *, first_tag: int) -> None:
        self._messages = messages
        self._first_tag = first_tag
        self._outcomes: list[Outcome | None] = [None] * len(messages)
        self._lowest_open = 0
        self._returns: dict[int, str] = {}
        self.unsettled = len(messages)

    def __len__(self) -> int:
        return len(self._messages)

    def settle(self, tag: int, outcome: Outcome, *, multiple: bool) -> None:
        """Note an outcome for a tag; `multiple` is for all earlier open ones too."""
        last = tag - self._first_tag
        for index in range(self._lowest_open if multiple else last, last + 1):
            if self._outcomes[index] is None:
                self._outcomes[index] = outcome
                self.unsettled -= 1
        while self._lowest_open < len(self) and self._outcomes[self._lowest_open] is not None:
            self._lowest_open += 1

    def note_return(self, address: Address, text: str) -> None:
        """Note that a message came back. Returns come in the order of publishing, before their confirm, without tag."""
        self._returns[self._by_address[address].popleft()] = text

    def confirmations(self) -> list[Confirmation]:
        """In the order of the messages; meaningful once none is unsettled."""
        return [self._confirmation(index, outcome) for index, outcome in enumerate(self._outcomes)]

    def _confirmation(self, index: int, outcome: Outcome | None) -> Confirmation:
        if index in self._returns:
            return Confirmation(Outcome.RETURNED, self._returns[index])
        if outcome is Outcome.NACKED:
            return Confirmation(outcome, _NACKED)
        return Confirmation(Outcome.CONFIRMED)

    @cached_property
    def _by_address(self) -> defaultdict[Address, deque[int]]:
        found: defaultdict[Address, deque[int]] = defaultdict(deque)
        for index, message in enumerate(self._messages):
            found[message.exchange, message.routing_key, message.message_id or ""].append(index)
        return found
