"""The topology: every exchange, queue and binding, and the one place that says so.

Applied by ``ledgerq topology apply``; workers, ingest and emitters never declare, and as their own users may not
(:mod:`infra.broker.roles`). What each part is for stands with it and is shown by ``ledgerq topology show``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from domain.tier import Tier
from infra.broker.declarations import (
    Binding,
    Bounds,
    Exchange,
    Policy,
    Queue,
    Topology,
    classic,
    quorum,
)
from infra.broker.declaring import declare
from infra.broker.delay import MAX_DELAY, RUNGS, STRAY, TASKS, Route, delay_route, ladder
from infra.broker.headers import clean_headers
from infra.settings import Settings

__all__ = [
    "DEAD",
    "DEAD_RECORD",
    "EVENTS",
    "INGEST",
    "INGEST_DEAD",
    "MAX_DELAY",
    "POLICIES",
    "REFUSING",
    "TASKS",
    "TIERS",
    "TOPOLOGY",
    "UNROUTED",
    "VHOST_DESCRIPTION",
    "VHOST_TAG",
    "Route",
    "apply",
    "clean_headers",
    "delay_route",
]

EVENTS: Final = "events"
INGEST: Final = "ingest"
INGEST_DEAD: Final = "ingest.dead"
DEAD: Final = "dead"
DEAD_RECORD: Final = "dead.record"
UNROUTED: Final = "unrouted"
REFUSING: Final = "unrouted.refused"

TIERS: Final = rf"{TASKS}\.({'|'.join(tier.value for tier in Tier)})"
"""Pattern of the tiers' queues."""

_ALL: Final = "#"

_EXCHANGES: Final = (
    Exchange(EVENTS, "topic", "What services and workers emit; routing key: the event's type.", alternate=UNROUTED),
    Exchange(TASKS, "topic", "Runs on their way to a tier; routing key: the queue's name.", alternate=UNROUTED),
    Exchange(DEAD, "topic", "Dead letters of the tiers; routing key: the queue they died in."),
    Exchange(INGEST_DEAD, "fanout", "What ingest could not read or the domain refused."),
    Exchange(UNROUTED, "fanout", "What was published to events or tasks and matched no queue."),
    Exchange(STRAY, "fanout", "What came down the delay ladder and matched no queue."),
)

_QUEUES: Final = (
    quorum(
        INGEST,
        "Events waiting to be stored.",
        dead_letter_exchange=INGEST_DEAD,
        dead_letter_strategy="at-least-once",
        overflow="reject-publish",
    ),
    quorum(
        INGEST_DEAD,
        "Unreadable and refused messages, with the reason in a header; recorded as events too.",
        bounds=Bounds(messages=10_000, age=timedelta(days=7), bytes=1024**3),
    ),
    quorum(
        DEAD,
        "Dead letters for people to look at; the lasting copy is in the log.",
        bounds=Bounds(messages=10_000, age=timedelta(hours=24)),
    ),
    quorum(DEAD_RECORD, "Dead letters waiting to be recorded."),
    quorum(
        UNROUTED,
        "Messages no queue was bound for: a mistake of the publisher's or of the topology.",
        bounds=Bounds(messages=10_000, age=timedelta(days=7)),
    ),
    # An alternate exchange counts as a route, so neither `mandatory` nor a confirm would tell the publisher.
    # A queue that takes nothing makes the broker refuse the message to its publisher, while `unrouted` keeps it.
    classic(
        REFUSING,
        "Takes nothing, so that the publisher of an unroutable message gets a nack.",
        max_length=0,
        overflow="reject-publish",
    ),
)


def _tier_queue(tier: Tier) -> Queue:
    return classic(
        tier.queue,
        f"Runs of tier {tier} waiting for a worker, by priority 0 to {tier.max_priority}.",
        max_priority=tier.max_priority,
        dead_letter_exchange=DEAD,
        # A message that came down the ladder still has the ladder's key.
        dead_letter_routing_key=tier.queue,
    )


_BINDINGS: Final = (
    Binding(EVENTS, INGEST, _ALL),
    *(Binding(TASKS, tier.queue, tier.queue) for tier in Tier),
    Binding(DEAD, DEAD, _ALL),
    Binding(DEAD, DEAD_RECORD, _ALL),
    Binding(INGEST_DEAD, INGEST_DEAD),
    Binding(UNROUTED, UNROUTED),
    Binding(UNROUTED, REFUSING),
    Binding(STRAY, UNROUTED),
)

TOPOLOGY: Final = Topology(_EXCHANGES, (*_QUEUES, *map(_tier_queue, Tier)), _BINDINGS) + ladder()
"""All of it."""

_SPREAD: Final = {"queue-leader-locator": "balanced"}
"""In a cluster, leaders are spread over the nodes; else all would stand where ``topology apply`` was connected to."""
_AS_IT_IS: Final = {"queue-mode": "default"}
"""Changes nothing. RabbitMQ 3.10 takes no other key for classic queues that does not decide about messages."""

POLICIES: Final = (
    Policy("inbox", r"^(ingest|dead\.record)$", "Waits to be stored.", _SPREAD),
    Policy("tier", rf"^{TIERS}$", "Waits for a worker.", _AS_IT_IS),
    Policy("delay ladder", rf"^{RUNGS}$", "Waits for its time.", _SPREAD),
    Policy("for people", r"^(dead|ingest\.dead|unrouted)$", "Somebody should look at what is in it.", _SPREAD),
    Policy("takes nothing", r"^unrouted\.refused$", "Makes the broker say no to a publisher.", _AS_IT_IS),
)
"""A name for every queue's part in it, applied before the queues are declared."""

VHOST_DESCRIPTION: Final = "Ledgerq: events come in, tasks go out, and what happened to them comes in as events"
VHOST_TAG: Final = "ledgerq"


def apply(settings: Settings) -> None:
    """Declare the topology on the broker; what stands there already as it should is left alone.

    Raises:
        BrokerUnreachableError: no connection, or it broke.
        BrokerRefusedError: the user may not log in or not configure.
        TopologyDriftError: a queue or exchange stands there with other properties. Nothing is deleted; everything
            that can be declared has been.
    """
    declare(TOPOLOGY, settings)
