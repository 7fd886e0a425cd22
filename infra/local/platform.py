"""Every process of Ledgerq on this machine, on a virtual host and a database of its own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pika

from domain.tier import Tier
from infra import database
from infra.broker import topology
from infra.broker.connection import connect
from infra.local.mailbox import Mailbox
from infra.local.ports import choose_block, choose_ports, is_free
from infra.local.sandbox import Sandbox, create_sandbox, drop_stale
from infra.local.supervisor import Supervisor
from infra.metrics.catalog import SHOWN
from infra.secret_link import new_key
from infra.settings import Settings

READY_WITHIN_SECONDS: Final = 60.0
WITHOUT_WORKERS: Final = ("ingest", "dispatch", "projector")
_KNOWN_TO_OTHERS: Final = (
    *("BROKER_URL", "MANAGEMENT_URL", "DATABASE_URL", "SMTP_URL", "LINK_KEY", "STATE_DIR", "MONITOR_PORT"),
    *("TRACING_ENDPOINT", "TRACING_PROTOCOL", "TRACING_SAMPLED"),
)


_ROLES: Final = {"projector": "scheduler", "monitor": "monitoring", "web": "emitter"}
"""Roles of processes that have none of their own name."""
_WORK: Final = (topology.INGEST, topology.DEAD_RECORD, *(tier.queue for tier in Tier))


class PlatformNotReadyError(Exception):
    """The processes were started and do not do their work."""


class Platform:
    """The processes and what they stand on.

    Attributes:
        settings: the platform's own, pointing at its virtual host and database.
        environment: the same as environment variables, for commands; the administrator's login to the broker.
        logins: broker URL of each role, for the processes.
    """

    def __init__(self, settings: Settings, sandbox: Sandbox, mailbox: Mailbox, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.sandbox = sandbox
        self.mailbox = mailbox
        self.settings = settings
        self.directory = settings.state_dir.resolve() / "run"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment: dict[str, str] = {
            **os.environ,
            "LEDGERQ_BROKER_URL": sandbox.broker_url,
            "LEDGERQ_DATABASE_URL": sandbox.database_url,
            "LEDGERQ_SMTP_URL": mailbox.url,
            "LEDGERQ_LINK_KEY": new_key(),
            "LEDGERQ_METRICS_PORT": str(self._metrics_port()),
            "LEDGERQ_MONITOR_PORT": str(self._monitor_port()),
        }
        self.logins: dict[str, str] = {}
        self.supervisor = Supervisor(self.environment, self.directory, tell)

    def start(self, *names: str) -> None:
        """Start the processes called ``names``, or all of them."""
        for name in names or (*WITHOUT_WORKERS, "scheduler", "monitor"):
            self.start_process(name, name)
        for tier in () if names else Tier:
            self.start_process(f"worker-{tier.value}", "worker", "--tier", tier.value)
        self._write_environment()

    def start_process(self, name: str, command: str, *arguments: str) -> None:
        """Start ``ledgerq COMMAND ARGUMENTS`` under ``name``, with the login of its role."""
        self.supervisor.start(name, command, *arguments, own=self.login_of(command))

    def login_of(self, command: str) -> dict[str, str]:
        """The variables by which a command, or a role, gets its login; to the management API, that of monitoring."""
        role = _ROLES.get(command, command)
        return {
            "LEDGERQ_BROKER_URL": self.logins[role],
            "LEDGERQ_MANAGEMENT_URL": self.sandbox.management_url(self.logins["monitoring"]),
        }

    def wait_until_ready(self) -> None:
        """Keep the processes up until somebody consumes every queue of work.

        Raises:
            PlatformNotReadyError: not within a minute; the text names the queues that nobody consumes.
        """
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        with contextlib.closing(connect(self.settings, role="readiness")) as connection:
            while unconsumed := [queue for queue in _WORK if not _consumers(connection, queue)]:
                if time.monotonic() > deadline:
                    raise PlatformNotReadyError(f"nobody consumes {', '.join(unconsumed)}; see {self.directory}")
                self.supervisor.look()
                connection.sleep(0.1)

    def stop(self) -> None:
        """Stop everything that was started, and forget the virtual host and the database."""
        self._tell("stopping")
        self.supervisor.stop()
        self.mailbox.close()
        self.sandbox.drop()
        self._environment_file.unlink(missing_ok=True)

    def _metrics_port(self) -> int:
        """What is set, and else a row of ports that nobody has: another platform may run on this machine."""
        port = self.settings.metrics_port
        if not port or "metrics_port" in self.settings.model_fields_set:
            return port
        return choose_block(port, length=1 + len(SHOWN))

    @property
    def monitor_url(self) -> str:
        """Where the monitor listens."""
        return f"http://{self.settings.monitor_host}:{self.environment['LEDGERQ_MONITOR_PORT']}"

    def _monitor_port(self) -> int:
        """The one that is set, or another where somebody listens on it already, such as a second platform."""
        port = self.settings.monitor_port
        return port if port and is_free(port) else choose_ports(self.directory / "monitor.port", "monitor")["monitor"]

    @property
    def _environment_file(self) -> Path:
        return self.settings.state_dir / "run.env"

    def _write_environment(self) -> None:
        """Leave the addresses for a second terminal's ``./dev ledgerq``."""
        values = {f"LEDGERQ_{name}": self.environment.get(f"LEDGERQ_{name}") for name in _KNOWN_TO_OTHERS}
        self._environment_file.touch(mode=0o600)
        lines = (f"export {name}='{value}'\n" for name, value in values.items() if value)
        self._environment_file.write_text("".join(lines))


def _consumers(connection: pika.BlockingConnection, queue: str) -> int:
    channel = connection.channel()
    count = channel.queue_declare(queue, passive=True).method.consumer_count
    channel.close()
    return int(count)


@contextmanager
def platform(
    settings: Settings,
    *,
    label: str,
    tell: Callable[[str], None],
    pace: Mapping[str, str] | None = None,
    is_alone: bool = False,
) -> Iterator[Platform]:
    """A migrated database, an applied topology and a platform that has not started a process yet; gone afterwards.

    Args:
        settings: the administrator's, for the servers.
        label: becomes part of the names of the virtual host and the database.
        tell: called with a line for each step.
        pace: settings of its own for the platform's processes, as environment variables.
        is_alone: the label is all of the names; the servers have no other platform of that name.
    """
    drop_stale(settings)
    sandbox = create_sandbox(settings, label=label, is_alone=is_alone)
    mailbox = Mailbox(settings.state_dir.resolve() / "mail")
    own = settings.model_copy(update=sandbox.settings_update())
    built = Platform(own, sandbox, mailbox, tell)
    built.environment.update(pace or {})
    try:
        timed("database migrated", lambda: database.migrate(own), tell)
        timed("broker topology applied", lambda: topology.apply(own), tell)
        built.logins = sandbox.make_logins()
        yield built
    finally:
        built.stop()


def timed(done: str, work: Callable[[], object], tell: Callable[[str], None]) -> None:
    """Do ``work`` and tell what was ``done``, and how long it took."""
    began = time.monotonic()
    work()
    tell(f"{done} in {time.monotonic() - began:.1f} s")
