"""A look at the broker: how much waits where, who is connected, and how much each worker has in hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pika

from domain.tier import Tier
from infra.broker.delay import LEVELS, rung
from infra.broker.management import ManagementApi
from infra.broker.topology import DEAD_RECORD

STATS_SECONDS: Final = 6.0
"""The broker refreshes what its management API says about messages in hand every five seconds."""
RUNGS: Final = tuple(rung(level) for level in range(LEVELS))
_PROCESS: Final = re.compile(r"\(pid (\d+) on (.+)\)$")
_WORKER: Final = re.compile(r"@([^@]+):(\d+)$")

Process = tuple[str, int]
"""Host and process id."""


class Hand(NamedTuple):
    """One consumer's channel.

    Attributes:
        identity: tells this connection from every other, before and after.
        process: whose it is; None where its name does not say (not a worker of ours).
        unacknowledged: messages it has and has said nothing about, as of some moment in the last seconds.
    """

    identity: str
    process: Process | None
    unacknowledged: int


class Look(NamedTuple):
    """What the broker said.

    Attributes:
        at: the database's clock just before.
        ready: messages ready to be delivered, exact, by queue: the tiers', the ladder's and `dead.record`.
        hands: of each tier's consumers.
        unacknowledged: of each tier's queue, as its own count goes.
        processes: those of ours that are connected.
    """

    at: datetime
    ready: Mapping[str, int]
    hands: Mapping[Tier, tuple[Hand, ...]]
    unacknowledged: Mapping[Tier, int]
    processes: frozenset[Process]

    @property
    def in_ladder(self) -> int:
        """Messages in all rungs."""
        return sum(self.ready[name] for name in RUNGS)


def look(channel: pika.adapters.blocking_connection.BlockingChannel, api: ManagementApi, *, at: datetime) -> Look:
    """Ask the broker.

    Args:
        channel: for the exact counts.
        api: for everything else.
        at: the database's clock.
    """
    queues = (*(tier.queue for tier in Tier), *RUNGS, DEAD_RECORD)
    ready = {name: int(channel.queue_declare(name, passive=True).method.message_count) for name in queues}
    connections = {each["name"]: each for each in _list(api, "connections")}
    hands = _hands(api, connections)
    unacknowledged = {
        tier: int((api.get(api.of_vhost("queues", tier.queue)) or {}).get("messages_unacknowledged", 0))
        for tier in Tier
    }
    processes = frozenset(found for each in connections.values() if (found := _process(each)))
    return Look(at, ready, hands, unacknowledged, processes)


def process_of(worker: str | None) -> Process | None:
    """The process that a worker's name in the log (``tier@host:pid``) names."""
    found = _WORKER.search(worker or "")
    return (found[1], int(found[2])) if found else None


def _hands(api: ManagementApi, connections: Mapping[str, Any]) -> dict[Tier, tuple[Hand, ...]]:
    channels = {each["name"]: each for each in _list(api, "channels")}
    consumers = api.get(api.of_vhost("consumers")) or []
    found: dict[Tier, dict[str, Hand]] = {tier: {} for tier in Tier}
    for consumer in consumers:
        tier = next((tier for tier in Tier if tier.queue == consumer["queue"]["name"]), None)
        channel = consumer["channel_details"]
        if tier is None or not channel:
            continue
        connection = connections.get(channel["connection_name"], {})
        count = channels.get(channel["name"], {}).get("messages_unacknowledged", 0)
        identity = f"{channel['name']} since {connection.get('connected_at')}"
        found[tier][identity] = Hand(identity, _process(connection), int(count))
    return {tier: tuple(hands.values()) for tier, hands in found.items()}


def _list(api: ManagementApi, kind: str) -> list[dict[str, Any]]:
    found = api.get(f"vhosts/{quote(api.vhost, safe='')}/{kind}") or []
    return [each for each in found if "name" in each]


def _process(connection: Mapping[str, Any]) -> Process | None:
    name = (connection.get("client_properties") or {}).get("connection_name", "")
    found = _PROCESS.search(name)
    return (found[2], int(found[1])) if found else None
