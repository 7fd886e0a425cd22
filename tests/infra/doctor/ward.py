"""A broker to be made ill, and the doctor who looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pika

from infra.broker import topology
from infra.broker.management import ManagementApi
from infra.doctor.examination import Expected, Report, examine
from infra.doctor.finding import Finding
from infra.settings import Settings
from tests.waiting import eventually

SECONDS = 40.0
"""The management API learns of connections and depths within seconds."""


class Ward:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.api = ManagementApi(settings)
        self._connections: list[pika.BlockingConnection] = []
        self._queues: set[str] = set()
        self._exchanges: set[str] = set()

    def examine(self, *, limits: Mapping[str, timedelta] | None = None, ahead: timedelta = timedelta()) -> Report:
        """What the doctor says whose own clock is so far ahead."""
        expected = Expected(limits=limits or {}, prefetch_per_child=1, prefetch_ahead=64)
        return examine(self.settings, expected, clock=lambda: datetime.now(UTC) + ahead)

    def finding(self, check: str, **how: Any) -> Finding:
        """The one finding of a check, once it is made; nothing else is wrong."""

        def found() -> Finding | None:
            findings = self.examine(**how).findings
            assert {finding.check for finding in findings} <= {check}, findings
            return findings[0] if len(findings) == 1 else None

        finding = eventually(found, seconds=SECONDS)
        assert finding is not None
        return finding

    def channel(self, **client_properties: Any) -> Any:
        """A client of somebody else's."""
        parameters = pika.URLParameters(self.settings.broker_url.get_secret_value())
        parameters.client_properties = client_properties
        connection = pika.BlockingConnection(parameters)
        self._connections.append(connection)
        return connection.channel()

    def replace_queue(self, name: str, arguments: dict[str, Any] | None) -> None:
        """Delete a queue, and declare it with other arguments, if any; it is as before when the ward closes."""
        self._queues.add(name)
        channel = self.channel()
        channel.queue_delete(name)
        if arguments is not None:
            channel.queue_declare(name, durable=True, arguments=arguments)
            for binding in topology.TOPOLOGY.bindings:
                if binding.destination == name and binding.kind == "queue":
                    channel.queue_bind(name, binding.source, binding.key)

    def replace_exchange(self, name: str, kind: str | None) -> None:
        """Delete an exchange, and declare it of another kind, if any."""
        self._exchanges.add(name)
        channel = self.channel()
        wanted = next(exchange for exchange in topology.TOPOLOGY.exchanges if exchange.name == name)
        channel.exchange_delete(name)
        if kind is not None:
            channel.exchange_declare(name, kind, durable=True, arguments=wanted.arguments)
            for binding in topology.TOPOLOGY.bindings:
                if binding.source == name and binding.kind == "queue":
                    channel.queue_bind(binding.destination, name, binding.key)
                if binding.destination == name and binding.kind == "exchange":
                    channel.exchange_bind(name, binding.source, binding.key)

    def close(self) -> None:
        """Make it healthy."""
        for name in self._queues:
            self.channel().queue_delete(name)
        for name in self._exchanges:
            self.channel().exchange_delete(name)
        topology.apply(self.settings)
        channel = self.channel()
        for queue in topology.TOPOLOGY.queues:
            channel.queue_purge(queue.name)
        for connection in self._connections:
            connection.close()
        eventually(lambda: not self.examine().findings, seconds=SECONDS)
