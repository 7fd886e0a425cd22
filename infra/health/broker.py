"""How the broker and its queues are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from domain.tier import Tier
from infra.broker.depths import PermittedQueues, QueueDepths, QueueState
from infra.broker.errors import BrokerRefusedError
from infra.broker.management import ManagementApi
from infra.broker.topology import DEAD, DEAD_RECORD, INGEST, INGEST_DEAD, UNROUTED
from infra.health.component import Component, Status, judged
from infra.health.lookout import Sight
from infra.settings import Settings

CONSUMED: Final = (INGEST, DEAD_RECORD, *(tier.queue for tier in Tier))
"""Queues that somebody has to consume."""
KEPT: Final = (DEAD, INGEST_DEAD, UNROUTED)
"""Queues that people look into; the role `monitoring` may not ask for them on every version (docs/rabbitmq.md)."""


class BrokerSight(Sight):
    """Asks over AMQP: a broker that is reached otherwise and not thus is of no use.

    Args:
        settings: for ``broker_url``.
    """

    names = ("broker", "queues")

    def __init__(self, settings: Settings) -> None:
        self._depths = QueueDepths(settings, role="monitor")
        self._kept = PermittedQueues(KEPT)

    def close(self) -> None:
        """Say goodbye."""
        self._depths.close()

    def look(self) -> dict[str, Component]:
        """One question per queue; of those that people look into, only what the user may ask for.

        Raises:
            BrokerError: the broker is away, or refuses.
        """
        began = time.monotonic()
        states = {queue: self._depths.state(queue) for queue in CONSUMED} | self._kept.states(self._depths)
        answered_ms = round((time.monotonic() - began) * 1000 / len(states), 1)
        return {"broker": Component(Status.HEALTHY, facts={"answers_in_ms": answered_ms}), "queues": _queues(states)}


def _queues(states: Mapping[str, QueueState | None]) -> Component:
    facts = {name: None if state is None else state._asdict() for name, state in states.items()}
    return judged(_queue_troubles(states), {"queues": facts})


def _queue_troubles(states: Mapping[str, QueueState | None]) -> Iterator[tuple[Status, str]]:
    if missing := [name for name, state in states.items() if state is None]:
        yield Status.UNHEALTHY, f"not declared: {', '.join(missing)}"
    for name in CONSUMED:
        state = states[name]
        if state is not None and not state.consumers:
            yield Status.DEGRADED, f"nobody consumes {name}"  # maybe on purpose: `ledgerq queue pause`


class AlarmSight(Sight):
    """Asks the management API whether the broker holds publishers back; over AMQP it tells only those who publish.

    Args:
        settings: for ``management_url``, which has to be set.
    """

    names = ("alarms",)

    def __init__(self, settings: Settings) -> None:
        self._api = ManagementApi(settings)

    def look(self) -> dict[str, Component]:
        """Alarms of memory and disk, of every node.

        Raises:
            BrokerUnreachableError: nobody answers.
        """
        try:
            nodes = self._api.get("nodes")
        except BrokerRefusedError:
            return {"alarms": Component(Status.DEGRADED, "not known: the user has no tag `monitoring`", {"nodes": []})}
        facts = [
            {"name": node["name"], "memory_alarm": node.get("mem_alarm"), "disk_alarm": node.get("disk_free_alarm")}
            for node in nodes
        ]
        return {"alarms": judged(_alarms(facts), {"nodes": facts})}


def _alarms(nodes: list[dict[str, Any]]) -> Iterator[tuple[Status, str]]:
    for node in nodes:
        for kind in ("memory", "disk"):
            if node[f"{kind}_alarm"]:
                yield Status.UNHEALTHY, f"{kind} alarm on {node['name']}: the broker takes no messages"
