"""The delay ladder: how a message waits in the broker, and then goes to a tier's queue.

A delay of n seconds is n in binary. For every bit there is a queue whose messages expire after that power of two and
are dead-lettered to the next lower exchange; where a bit is zero, the exchange passes the message on to the next lower
one directly. The routing key carries the bits and then the queue's name, so it never changes on the way:

    0.0.….0.1.0.1.tasks.high        5 s, then queue tasks.high

The queues are quorum queues with at-least-once dead-lettering: 3 000 messages waiting in a ladder of classic queues
lost about 500 when the broker was killed, these lost none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from domain.tier import Tier
from infra.broker.declarations import Binding, Exchange, Queue, Topology, quorum

LEVELS: Final = 17
"""Bits of the longest delay, and words of the routing key before the queue's name."""
MAX_DELAY: Final = timedelta(seconds=2**LEVELS - 1)
"""The longest delay, 36 hours and 24 minutes."""
SHORTEST_DELAY: Final = timedelta(seconds=1)
"""The shortest delay there is."""
OUT: Final = "delay.out"
"""The exchange at the foot of the ladder; a new destination is a binding there."""
STRAY: Final = "unrouted.late"
"""The exchange for what finds no way on."""
TASKS: Final = "tasks"

_TARGETS: Final = frozenset(tier.queue for tier in Tier)


class Route(NamedTuple):
    """Where to publish."""

    exchange: str
    routing_key: str


def delay_route(delay: timedelta, queue: str) -> Route:
    """Where to publish a message that `queue` shall get after `delay`.

    Delays are whole seconds, rounded up: a message is never early, and a delay under one second is one second. No
    delay, or one in the past, goes directly to exchange ``tasks``. A message in the ladder must have no expiration of
    its own (it would leave its rung when that passes), and no headers of earlier deaths (:func:`clean_headers`).

    Raises:
        ValueError: `queue` is no tier's queue, or `delay` is longer than ``MAX_DELAY``.
    """
    if queue not in _TARGETS:
        raise ValueError(f"no delay leads to queue {queue!r}; allowed are {', '.join(sorted(_TARGETS))}")
    if delay <= timedelta(0):
        return Route(TASKS, queue)
    if delay > MAX_DELAY:
        raise ValueError(f"a delay of {delay} is longer than the ladder's {MAX_DELAY}")
    seconds = -(-delay // timedelta(seconds=1))
    bits = ".".join(f"{seconds:0{LEVELS}b}")
    return Route(rung(seconds.bit_length() - 1), f"{bits}.{queue}")


def rung(level: int) -> str:
    """Name of the exchange and of the queue of one bit."""
    return f"delay.{level:02d}"


def ladder() -> Topology:
    """Seventeen rungs and the way out, to every tier's queue."""
    exchanges: list[Exchange] = [Exchange(OUT, "topic", "Where delays end: on to the tiers.", alternate=STRAY)]
    queues: list[Queue] = []
    bindings = [Binding(OUT, tier.queue, "*." * LEVELS + tier.queue) for tier in Tier]
    for level in range(LEVELS):
        below = rung(level - 1) if level else OUT
        bits_above = "*." * (LEVELS - 1 - level)
        exchanges.append(Exchange(rung(level), "topic", f"Bit {level} of a delay.", alternate=STRAY))
        queues.append(_waiting(level, below))
        bindings += [
            Binding(rung(level), rung(level), f"{bits_above}1.#"),
            Binding(rung(level), below, f"{bits_above}0.#", kind="exchange"),
        ]
    return Topology(tuple(exchanges), tuple(queues), tuple(bindings))


def _waiting(level: int, below: str) -> Queue:
    return quorum(
        rung(level),
        f"Waits {2**level} s, then goes to {below}.",
        message_ttl=2**level * 1000,
        dead_letter_exchange=below,
        dead_letter_strategy="at-least-once",  # needs reject-publish
        overflow="reject-publish",
    )
