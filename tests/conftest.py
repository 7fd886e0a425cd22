"""What a test session stands on: real servers, and a virtual host and a database of its own on them.

Nothing here is used unless a test asks for it: tests of the domain need no servers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra.local.sandbox import Sandbox, create_sandbox, drop_stale
from infra.settings import Settings, load_settings

# Under nohup or in the background of a script these are ignored, also by what tests start; and a shell cannot trap
# what was ignored when it began.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

NO_SERVERS = (
    "these tests need a RabbitMQ and a PostgreSQL: run ./dev test, "
    "or give LEDGERQ_BROKER_URL, LEDGERQ_MANAGEMENT_URL and LEDGERQ_DATABASE_URL, "
    "or set LEDGERQ_TEST_SERVERS=testcontainers where Docker runs"
)

os.environ.setdefault("LEDGERQ_METRICS_PORT", "0")  # many platforms at once; tests of metrics choose ports of their own


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The administrator's settings: for making virtual hosts and databases, not for working in."""
    with ExitStack() as stack:
        if os.environ.get("LEDGERQ_TEST_SERVERS") == "testcontainers":
            from tests.containers import containers  # noqa: PLC0415  few sessions need Docker's client

            yield stack.enter_context(containers(tmp_path_factory.mktemp("containers")))
        elif os.environ.get("LEDGERQ_BROKER_URL") and os.environ.get("LEDGERQ_DATABASE_URL"):
            yield load_settings()
        else:
            pytest.exit(NO_SERVERS, returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def sandbox(servers: Settings) -> Iterator[Sandbox]:
    """An empty virtual host and an empty database for this session alone."""
    drop_stale(servers)
    made = create_sandbox(servers, label="test")
    yield made
    made.drop()


@pytest.fixture(scope="session")
def settings(servers: Settings, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a platform in the sandbox, with a state directory that nobody else writes."""
    state = {"state_dir": tmp_path_factory.mktemp("state")}
    return servers.model_copy(update={**sandbox.settings_update(), **state})


@pytest.fixture(scope="session")
def platform(settings: Settings) -> Settings:
    """The same settings, once the database is migrated and the broker's topology applied."""
    from infra import database  # noqa: PLC0415  tests of the domain need not load SQLAlchemy
    from infra.broker import topology  # noqa: PLC0415

    database.migrate(settings)
    topology.apply(settings)
    return settings
