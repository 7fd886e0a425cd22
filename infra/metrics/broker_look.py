"""What the broker says when it is asked: depths and consumers of our queues; alarms and disk of its nodes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from typing import Any, Final

from prometheus_client.metrics_core import GaugeMetricFamily as Family

from infra.broker.depths import PermittedQueues, QueueDepths
from infra.broker.errors import BrokerRefusedError
from infra.broker.management import ManagementApi
from infra.broker.topology import INGEST, TOPOLOGY
from infra.metrics import catalog
from infra.metrics.instruments import family
from infra.settings import Settings

WITHIN_SECONDS: Final = 3.0
"""What one answer of the management API may take; there are two."""
_OURS: Final = frozenset(queue.name for queue in TOPOLOGY.queues)
_LENGTH: Final = {"ready": catalog.QUEUE_READY, "unacknowledged": catalog.QUEUE_UNACKNOWLEDGED}


class BrokerLook:
    """By the management API where the settings name one, which tells more; else by AMQP."""

    def __init__(self) -> None:
        self._permitted = PermittedQueues(sorted(_OURS - {INGEST}))  # whom ingest is refused may ask for none

    def __call__(self, settings: Settings) -> Iterable[Family]:
        """A look, over connections of its own.

        Raises:
            BrokerError: it does not answer, or does not let us ask.
        """
        if settings.management_url is None:
            return self._by_amqp(settings)
        api = ManagementApi(settings, timeout_seconds=WITHIN_SECONDS)
        return [*_queues(api), *_nodes(_told_of_nodes(api))]

    def _by_amqp(self, settings: Settings) -> Iterable[Family]:
        ready, consumers = family(catalog.QUEUE_READY), family(catalog.QUEUE_CONSUMERS)
        with closing(QueueDepths(settings, role="metrics")) as depths:
            states = {INGEST: depths.state(INGEST)} | self._permitted.states(depths)
        for queue, state in states.items():
            if state is not None:
                ready.add_metric([queue], state.ready)
                consumers.add_metric([queue], state.consumers)
        return ready, consumers


def _queues(api: ManagementApi) -> Iterable[Family]:
    told = {metric: family(metric) for metric in (*_LENGTH.values(), catalog.QUEUE_CONSUMERS)}
    columns = "name,messages_ready,messages_unacknowledged,consumers"
    for queue in api.get(f"{api.of_vhost('queues')}?columns={columns}") or ():
        if queue["name"] not in _OURS:
            continue
        for state, metric in _LENGTH.items():
            told[metric].add_metric([queue["name"]], queue.get(f"messages_{state}", 0))
        told[catalog.QUEUE_CONSUMERS].add_metric([queue["name"]], queue.get("consumers", 0))
    return told.values()


def _told_of_nodes(api: ManagementApi) -> list[dict[str, Any]]:
    """The nodes that run, as far as our user may know; a stopped one says nothing of itself."""
    with suppress(BrokerRefusedError):
        nodes = api.get("nodes?columns=mem_alarm,disk_free_alarm,disk_free,disk_free_limit")
        return [node for node in nodes or () if "disk_free" in node]
    return []


def _nodes(running: list[dict[str, Any]]) -> Iterable[Family]:
    """Of the node with the least room; without samples where none tells, as in the first seconds of its life."""
    alarm = family(catalog.BROKER_ALARM)
    free, limit = family(catalog.BROKER_DISK_FREE), family(catalog.BROKER_DISK_LIMIT)
    if running:
        for resource, flag in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")):
            alarm.add_metric([resource], float(any(node[flag] for node in running)))
    # A node that does not watch its disk has a text there.
    if measured := [node for node in running if not isinstance(node["disk_free"], str)]:
        tightest = min(measured, key=lambda node: node["disk_free"] - node["disk_free_limit"])
        free.add_metric([], tightest["disk_free"])
        limit.add_metric([], tightest["disk_free_limit"])
    return alarm, free, limit
