"""Who is connected, and how do they behave? Consumers, their prefetch, and publishers without confirms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from domain.tier import Tier
from infra.broker.topology import DEAD_RECORD, EVENTS, INGEST, TASKS
from infra.doctor.finding import Finding
from infra.doctor.patient import Patient

_TIERS: Final = frozenset(tier.queue for tier in Tier)
_SERVED_BY: Final = {INGEST: "ingest", DEAD_RECORD: "ingest", **{tier.queue: f"worker --tier {tier}" for tier in Tier}}
_AHEAD: Final = "ahead:"
"""How the tag of a worker's second consumer begins, which is only there while tasks are short."""
_OURS: Final = frozenset({EVENTS, TASKS, ""})
"""Exchanges through which a loss would be a loss of ours; ``""`` reaches every queue by its name."""


def consumers(patient: Patient) -> Iterator[Finding]:
    """Queues of work in which messages wait and nobody comes."""
    for name, process in _SERVED_BY.items():
        queue = patient.queues.get(name, {})
        waiting = queue.get("messages_ready", 0)
        if waiting and not queue.get("consumers", 0):
            what = f"{waiting} messages wait and nobody consumes"
            yield Finding(check="no_consumers", where=f"queue {name}", what=what, remedy=f"Start `ledgerq {process}`")


def prefetch(patient: Patient, *, per_child: int, ahead: int) -> Iterator[Finding]:
    """Consumers of a tier that take so many messages ahead that a more urgent one comes too late.

    Args:
        patient: the broker.
        per_child: how many messages a worker may have in hand for each of its pool's children.
        ahead: how many more while its tasks are short, by a second consumer; it orders those itself.
    """
    for consumer in patient.consumers:
        queue, count = consumer["queue"]["name"], consumer["prefetch_count"]
        if queue not in _TIERS:
            continue
        connection = consumer["channel_details"].get("connection_name", "?")
        children = patient.children(connection)
        is_ahead = children is not None and consumer["consumer_tag"].startswith(_AHEAD)
        most = ahead if is_ahead else per_child * (children or 1)
        if 0 < count <= most:
            continue
        taken = f"{count} messages" if count else "messages without a limit"
        told = f"{children} children" if children else "it does not say how many children it has"
        yield Finding(
            check="prefetch_defeats_priority",
            where=f"consumer of {queue}, {patient.who(connection)}",
            what=f"takes {taken} ahead ({told}; at most {most} keep the order of priority)",
            remedy="Consume with `ledgerq worker`, or with a prefetch of one per child",
        )


def confirms(patient: Patient) -> Iterator[Finding]:
    """Open channels that publish to us and would not hear of a loss."""
    for channel in patient.channels:
        published = (channel.get("message_stats") or {}).get("publish", 0)
        if channel.get("confirm") or channel.get("transactional") or not published:
            continue
        told = patient.published_to(channel["name"])
        if told and not told & _OURS:
            continue
        yield Finding(
            check="missing_confirms",
            where=f"publisher {patient.who(channel['connection_details'].get('name', '?'))}",
            what=f"publishes{_to(told & _OURS)} without confirms: what a restart loses, it never hears of",
            remedy="Have it select confirm mode and wait for the confirms (Celery: `confirm_publish`)",
        )


def _to(exchanges: set[str]) -> str:
    return "".join(f" to {name or 'the default exchange'}" for name in sorted(exchanges))
