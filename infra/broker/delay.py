"""The delay ladder: how a message waits in the broker, and then goes to a tier's queue.

A delay of n seconds is n in binary. For every bit there is a queue whose messages expire after that power of two and
are dead-lettered to the next lower exchange; where a bit is zero, the exchange passes the message on to the next lower
one directly. The routing key carries the bits and then the queue's name, so it never changes on the way:

    0.0.….0.1.0.1.tasks.high        5 s, then queue tasks.high

A short delay has three bits more, for halves, quarters and eighths of a second, and at the foot of the ladder of whole
seconds goes on to one of these:

    0.0.….0.0.1.1.0.1.tasks.high        1.625 s, then queue tasks.high

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
EIGHTH: Final = timedelta(milliseconds=125)
SHORTEST_DELAY: Final = EIGHTH
"""The shortest delay there is."""
FINE_BELOW: Final = timedelta(seconds=10)
"""Up to here delays are counted in eighths of a second; from here on a whole second is less than a tenth of them."""
FINE_MILLISECONDS: Final = (500, 250, 125)
OUT: Final = "delay.out"
"""The exchange at the foot of the ladder of whole seconds."""
FINE_OUT: Final = "delay.out.fine"
"""The exchange at the foot of the fine one; a new destination is a binding at each foot."""
RUNGS: Final = r"delay\.([0-9]{2}|[0-9]+ms)"
"""Pattern of the rungs' names, of exchanges and queues alike."""
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

    Delays are rounded up, to whole seconds, and below ``FINE_BELOW`` to eighths of one: a message is never early. No
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
    unit = EIGHTH if delay < FINE_BELOW else timedelta(seconds=1)
    seconds, eighths = divmod(-(-delay // unit), timedelta(seconds=1) // unit)
    bits = ".".join(f"{seconds:0{LEVELS}b}" + (f"{eighths:03b}" if eighths else ""))
    first = rung(seconds.bit_length() - 1) if seconds else fine_rung(FINE_MILLISECONDS[3 - eighths.bit_length()])
    return Route(first, f"{bits}.{queue}")


def rung(level: int) -> str:
    """Name of the exchange and of the queue of one bit."""
    return f"delay.{level:02d}"


def fine_rung(milliseconds: int) -> str:
    """Name of the exchange and of the queue of a part of a second."""
    return f"delay.{milliseconds}ms"


def ladder() -> Topology:
    """Seventeen rungs of whole seconds, three fine ones, and the ways out, to every tier's queue."""
    return _whole_seconds() + _parts_of_a_second()


def _whole_seconds() -> Topology:
    exchanges: list[Exchange] = [Exchange(OUT, "topic", "Where delays end: on to the tiers.", alternate=STRAY)]
    queues: list[Queue] = []
    bindings = [Binding(OUT, tier.queue, "*." * LEVELS + tier.queue) for tier in Tier]
    for level in range(LEVELS):
        below = rung(level - 1) if level else OUT
        bits_above = "*." * (LEVELS - 1 - level)
        exchanges.append(Exchange(rung(level), "topic", f"Bit {level} of a delay.", alternate=STRAY))
        queues.append(_waiting(rung(level), 2**level * 1000, below))
        bindings += [
            Binding(rung(level), rung(level), f"{bits_above}1.#"),
            Binding(rung(level), below, f"{bits_above}0.#", kind="exchange"),
        ]
    return Topology(tuple(exchanges), tuple(queues), tuple(bindings))


def _parts_of_a_second() -> Topology:
    """What a key with three bits more goes through after its whole seconds."""
    exchanges = [Exchange(FINE_OUT, "topic", "Where fine delays end: on to the tiers.", alternate=STRAY)]
    queues: list[Queue] = []
    fine = LEVELS + len(FINE_MILLISECONDS)
    bindings = [Binding(FINE_OUT, tier.queue, "*." * fine + tier.queue) for tier in Tier]
    top = fine_rung(FINE_MILLISECONDS[0])
    bindings += [Binding(OUT, top, "*." * fine + tier.queue, kind="exchange") for tier in Tier]
    below = [*map(fine_rung, FINE_MILLISECONDS[1:]), FINE_OUT]
    for bit, (milliseconds, following) in enumerate(zip(FINE_MILLISECONDS, below, strict=True)):
        name, bits_above = fine_rung(milliseconds), "*." * (LEVELS + bit)
        exchanges.append(Exchange(name, "topic", f"The {milliseconds} ms of a delay.", alternate=STRAY))
        queues.append(_waiting(name, milliseconds, following))
        bindings += [
            Binding(name, name, f"{bits_above}1.#"),
            Binding(name, following, f"{bits_above}0.#", kind="exchange"),
        ]
    return Topology(tuple(exchanges), tuple(queues), tuple(bindings))


def _waiting(name: str, milliseconds: int, below: str) -> Queue:
    return quorum(
        name,
        f"Waits {milliseconds / 1000:g} s, then goes to {below}.",
        message_ttl=milliseconds,
        dead_letter_exchange=below,
        dead_letter_strategy="at-least-once",  # needs reject-publish
        overflow="reject-publish",
    )
