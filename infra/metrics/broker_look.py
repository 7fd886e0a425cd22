"""What the broker says when it is asked: depths and consumers of our queues; alarms and disk of its nodes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from prometheus_client.metrics_core import GaugeMetricFamily as Family

from infra.broker.depths import QueueDepths
from infra.broker.errors import BrokerRefusedError
from infra.broker.management import ManagementApi
from infra.broker.topology import TOPOLOGY
from infra.metrics import catalog
from infra.metrics.instruments import family
from infra.settings import Settings

WITHIN_SECONDS: Final = 4.0
"""Prometheus waits for ten seconds by default, for all that is asked."""
_OURS: Final = frozenset(queue.name for queue in TOPOLOGY.queues)
_LENGTH: Final = {"ready": catalog.QUEUE_READY, "unacknowledged": catalog.QUEUE_UNACKNOWLEDGED}


def look_at_broker(settings: Settings) -> Iterable[Family]:
    """By the management API where the settings name one, which tells more; else by AMQP.

    Raises:
        BrokerError: it does not answer, or does not let us ask.
    """
    if settings.management_url is None:
        return _by_amqp(settings)
    api = ManagementApi(settings, timeout_seconds=WITHIN_SECONDS)
    return [*_queues(api), *_nodes(_told_of_nodes(api))]


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
    if not running:
        return
    alarm = family(catalog.BROKER_ALARM)
    for resource, flag in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")):
        alarm.add_metric([resource], float(any(node[flag] for node in running)))
    yield alarm
    tightest = min(running, key=lambda node: node["disk_free"] - node["disk_free_limit"])
    for metric, figure in ((catalog.BROKER_DISK_FREE, "disk_free"), (catalog.BROKER_DISK_LIMIT, "disk_free_limit")):
        found = family(metric)
        found.add_metric([], tightest[figure])
        yield found


def _by_amqp(settings: Settings) -> Iterable[Family]:
    ready, consumers = family(catalog.QUEUE_READY), family(catalog.QUEUE_CONSUMERS)
    depths = QueueDepths(settings, role="metrics")
    try:
        for queue in sorted(_OURS):
            if (state := depths.state(queue)) is not None:
                ready.add_metric([queue], state.ready)
                consumers.add_metric([queue], state.consumers)
    finally:
        depths.close()
    return ready, consumers
