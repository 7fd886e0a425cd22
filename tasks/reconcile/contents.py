"""Reading what waits in queues without taking it: every message is given back when all have been seen.

For a rung of the ladder that is harmless. A message of a tier's queue comes back in its old place, but marked as
redelivered, which the worker that gets it has to tell from the death of another.
"""

from __future__ import annotations

from typing import Final

from pika.adapters.blocking_connection import BlockingChannel

from domain.run_id import message_run_id
from domain.tier import Tier
from tasks.reconcile.look import RUNGS

LIMIT: Final = 100_000
"""Most messages that are read; each takes memory here until it is given back."""


class TooManyMessagesError(Exception):
    """There is more in the queues than can be read in one go."""


def read_contents(channel: BlockingChannel) -> frozenset[str]:
    """The ids of all runs that have a message in a tier's queue or in the ladder.

    Read in the direction in which messages move, from the ladder's top to the tiers: one that is passed on before we
    come to it is found further down.

    Raises:
        TooManyMessagesError: there are more than can be read.
    """
    found: set[str] = set()
    last = 0
    try:
        for queue in (*reversed(RUNGS), *(tier.queue for tier in Tier)):
            while True:
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    break
                last = method.delivery_tag
                if last > LIMIT:
                    raise TooManyMessagesError(f"more than {LIMIT} messages wait")
                found.add(message_run_id(body, properties.headers))
    finally:
        if last:
            channel.basic_nack(last, multiple=True, requeue=True)
    return frozenset(found)
