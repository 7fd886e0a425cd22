"""The servers of one run: those given in the environment, and private nodes or containers for the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from infra.local.node import Node
from infra.local.postgresql import PostgreSQLNode
from infra.local.programs import find_postgresql, find_rabbitmq
from infra.local.rabbitmq import RabbitMQNode
from infra.local.slot import Slot

BROKER: Final = "LEDGERQ_BROKER_URL"
MANAGEMENT: Final = "LEDGERQ_MANAGEMENT_URL"
DATABASE: Final = "LEDGERQ_DATABASE_URL"
STATE: Final = "LEDGERQ_STATE_DIR"


class Servers(Protocol):
    """Where a run's servers come from."""

    def start(self, *, canceled: Callable[[], bool]) -> dict[str, str]:
        """Bring them up; their addresses as environment variables.

        Raises:
            LocalServersError: they cannot be had, or ``canceled`` said to give up.
        """

    def stop(self) -> None:
        """Stop what :meth:`start` started, also when it failed."""

    def describe(self) -> str:
        """One line for people."""


class PrivateServers:
    """Private nodes in a slot for what the environment does not give."""

    def __init__(self, slot: Slot, given: Mapping[str, str]) -> None:
        self._given = given_addresses(given)
        self._rabbitmq: RabbitMQNode | None = None
        self._postgresql: PostgreSQLNode | None = None
        self._took_seconds = 0.0
        if BROKER not in self._given:
            self._rabbitmq = RabbitMQNode(
                slot.directory / "rabbitmq",
                mark=slot.servers_mark,
                password=slot.password("rabbitmq"),
                programs=find_rabbitmq(),
            )
        if DATABASE not in self._given:
            self._postgresql = PostgreSQLNode(
                slot.directory / "postgresql",
                mark=slot.servers_mark,
                password=slot.password("postgresql"),
                programs=find_postgresql(),
            )

    @property
    def nodes(self) -> list[Node]:
        """The nodes of ours."""
        return [node for node in (self._rabbitmq, self._postgresql) if node is not None]

    def start(self, *, canceled: Callable[[], bool]) -> dict[str, str]:
        """Start the nodes side by side and wait for both."""
        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=2) as pool:
            starting = [pool.submit(node.start, canceled=canceled) for node in self.nodes]
        for started in starting:
            started.result()
        self._took_seconds = time.monotonic() - began
        addresses = dict(self._given)
        if self._rabbitmq:
            addresses |= {BROKER: self._rabbitmq.broker_url, MANAGEMENT: self._rabbitmq.management_url}
        if self._postgresql:
            addresses[DATABASE] = self._postgresql.database_url
        return addresses

    def stop(self) -> None:
        """Stop the nodes side by side."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            stopping = [pool.submit(node.stop) for node in self.nodes]
        for stopped in stopping:
            stopped.result()

    def describe(self) -> str:
        """Versions, ports and the time it took."""
        said = []
        if self._rabbitmq:
            ports, version = self._rabbitmq.ports, self._rabbitmq.programs.version
            said.append(f"RabbitMQ {version} on 127.0.0.1:{ports['amqp']} (management {self._rabbitmq.management_url})")
        if self._postgresql:
            port, version = self._postgresql.ports["postgresql"], self._postgresql.programs.version
            said.append(f"PostgreSQL {version} on 127.0.0.1:{port}")
        return f"{', '.join(said)} up in {self._took_seconds:.1f} s" if said else "the servers given in the environment"


def given_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """The servers' addresses that the environment gives; a management URL only counts with its broker."""
    names = (BROKER, MANAGEMENT, DATABASE) if environment.get(BROKER) else (DATABASE,)
    return {name: environment[name] for name in names if environment.get(name)}
