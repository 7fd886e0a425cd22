"""A test session's servers in containers (testcontainers), where a Docker daemon answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from pydantic import SecretStr
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy

from infra.settings import Settings

ROOT = Path(__file__).parents[1]
USER = "ledgerq"
AMQP, MANAGEMENT, POSTGRESQL = 5672, 15672, 5432


@contextmanager
def containers(state: Path) -> Iterator[Settings]:
    """Start both servers, of the images and with the configuration that docker-compose.yml names."""
    require_daemon()
    password = secrets.token_urlsafe(24)
    with rabbitmq(password) as broker, postgresql(password) as database:
        login = f"{USER}:{password}"
        yield Settings(
            broker_url=SecretStr(f"amqp://{login}@{address(broker, AMQP)}/%2F"),
            management_url=SecretStr(f"http://{address(broker, MANAGEMENT)}"),
            database_url=SecretStr(f"postgresql://{login}@{address(database, POSTGRESQL)}/postgres"),
            state_dir=state,
        )


def require_daemon() -> None:
    try:
        docker.from_env().close()
    except DockerException as error:
        pytest.exit(f"no Docker daemon answers, which LEDGERQ_TEST_SERVERS=testcontainers needs: {error}", returncode=4)


def rabbitmq(password: str) -> DockerContainer:
    container = DockerContainer("rabbitmq:4.3-management", hostname="rabbitmq")
    container.with_env("RABBITMQ_DEFAULT_USER", USER).with_env("RABBITMQ_DEFAULT_PASS", password)
    container.with_volume_mapping(ROOT / "rabbitmq" / "rabbitmq.conf", "/etc/rabbitmq/conf.d/20-ledgerq.conf")
    container.with_volume_mapping(ROOT / "rabbitmq" / "advanced.config", "/etc/rabbitmq/advanced.config")
    container.with_volume_mapping(ROOT / "rabbitmq" / "enabled_plugins", "/etc/rabbitmq/enabled_plugins")
    container.with_exposed_ports(AMQP, MANAGEMENT)
    return container.waiting_for(ExecWaitStrategy(["rabbitmq-diagnostics", "--quiet", "check_port_connectivity"]))


def postgresql(password: str) -> DockerContainer:
    container = DockerContainer("postgres:18", command="postgres -c max_connections=200 -c timezone=UTC")
    container.with_env("POSTGRES_USER", USER).with_env("POSTGRES_PASSWORD", password)
    container.with_env("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --no-locale").with_exposed_ports(POSTGRESQL)
    return container.waiting_for(ExecWaitStrategy(["pg_isready", "--host=127.0.0.1", f"--username={USER}"]))


def address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
