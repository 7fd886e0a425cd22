"""Servers in containers, where ``--docker`` asks for them: ``docker-compose.yml`` under a project name of the slot."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Final

from infra.local.errors import LocalServersError, MissingProgramError, StartCancelledError
from infra.local.ports import choose_ports
from infra.local.servers import BROKER, DATABASE, MANAGEMENT, given_addresses
from infra.local.slot import CHECKOUT, Slot

USER: Final = "ledgerq"
_START_SECONDS: Final = 600  # the images may have to be fetched
_STOP_SECONDS: Final = 60


class ContainerServers:
    """RabbitMQ and PostgreSQL in containers for what the environment does not give."""

    def __init__(self, slot: Slot, given: Mapping[str, str]) -> None:
        if not shutil.which("docker"):
            raise MissingProgramError("--docker was asked for, but there is no docker on PATH")
        self._given = given_addresses(given)
        self._wanted = [name for name, url in (("rabbitmq", BROKER), ("postgres", DATABASE)) if url not in self._given]
        self._passwords = {name: slot.password(name) for name in ("rabbitmq", "postgresql")}
        self._memory = slot.directory / "containers.json"
        self._ports: dict[str, int] = {}
        place = hashlib.sha256(str(slot.directory.parent).encode()).hexdigest()[:8]
        self._project = f"ledgerq-{place}-{slot.directory.name}"
        self._took_seconds = 0.0

    def start(self, *, canceled: Callable[[], bool]) -> dict[str, str]:
        """``docker compose up`` and wait until the health checks pass."""
        began = time.monotonic()
        addresses = dict(self._given)
        self._ports = choose_ports(self._memory, "amqp", "management", "prometheus", "postgresql")
        if self._wanted:
            self._compose("down", "--volumes", "--remove-orphans")  # what a killed run has left
            self._compose("up", "--detach", "--wait", *self._wanted, canceled=canceled)
        rabbitmq, postgresql = self._passwords["rabbitmq"], self._passwords["postgresql"]
        if BROKER not in addresses:
            addresses[BROKER] = f"amqp://{USER}:{rabbitmq}@127.0.0.1:{self._ports['amqp']}/%2F"
            addresses[MANAGEMENT] = f"http://127.0.0.1:{self._ports['management']}"
        if DATABASE not in addresses:
            addresses[DATABASE] = f"postgresql://{USER}:{postgresql}@127.0.0.1:{self._ports['postgresql']}/postgres"
        self._took_seconds = time.monotonic() - began
        return addresses

    def stop(self) -> None:
        """``docker compose down``, volumes included: a run leaves nothing in the engine."""
        if self._wanted and self._ports:
            self._compose("down", "--volumes", "--remove-orphans")

    def describe(self) -> str:
        """Which containers, and the time it took."""
        return f"containers {', '.join(self._wanted)} of project {self._project} up in {self._took_seconds:.1f} s"

    def _compose(self, *arguments: str, canceled: Callable[[], bool] | None = None) -> None:
        variables = {
            "RABBITMQ_PASSWORD": self._passwords["rabbitmq"],
            "RABBITMQ_PORT": str(self._ports["amqp"]),
            "RABBITMQ_MANAGEMENT_PORT": str(self._ports["management"]),
            "RABBITMQ_PROMETHEUS_PORT": str(self._ports["prometheus"]),
            "POSTGRES_PASSWORD": self._passwords["postgresql"],
            "POSTGRES_PORT": str(self._ports["postgresql"]),
        }
        file = CHECKOUT / "docker-compose.yml"
        command = ("docker", "compose", "--project-name", self._project, "--file", str(file), *arguments)
        process = subprocess.Popen(  # noqa: S603  arguments of ours
            command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=2
        )
        deadline = time.monotonic() + (_START_SECONDS if canceled else _STOP_SECONDS)
        while process.poll() is None:
            if (canceled and canceled()) or time.monotonic() > deadline:
                process.terminate()
                process.wait()
                raise StartCancelledError(f"docker compose {arguments[0]} was given up")
            time.sleep(0.1)
        if process.returncode:
            raise LocalServersError(f"docker compose {arguments[0]} failed with status {process.returncode}")
