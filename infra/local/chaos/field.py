"""The field: private servers that may be killed, and the platform's processes on them; all of it gone afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from domain.tier import Tier
from infra.broker.connection import connect
from infra.broker.management import ManagementApi
from infra.broker.topology import TOPOLOGY, UNROUTED
from infra.local import processes
from infra.local.chaos.plan import Victim
from infra.local.chaos.siege import WORKER
from infra.local.errors import SandboxError
from infra.local.guard import guarded
from infra.local.node import Node
from infra.local.platform import Platform, platform, timed
from infra.local.postgresql import PostgreSQLNode
from infra.local.programs import find_postgresql, find_rabbitmq
from infra.local.rabbitmq import RabbitMQNode
from infra.local.slot import Slot, take_slot
from infra.local.supervisor import Supervisor
from infra.settings import Settings

CHILDREN: Final = "2"
"""Pool children of each worker."""
PACE: Final = {
    "LEDGERQ_WATERMARK_INTERVAL_SECONDS": "1",
    "LEDGERQ_SWEEP_INTERVAL_SECONDS": "5",
    "LEDGERQ_USAGE_INTERVAL_SECONDS": "10",
}
_KEPT_FOR_PEOPLE: Final = frozenset({"dead", "ingest.dead", UNROUTED})


class Field:
    """The servers, the platform on them, and where the load and the tasks write.

    Attributes:
        built: the platform.
        servers: the nodes, by what the plan calls them.
        directory: of this run.
        is_kept: whether logs and data are left afterwards.
    """

    def __init__(self, built: Platform, servers: Mapping[Victim, Node], directory: Path) -> None:
        self.built = built
        self.servers = servers
        self.directory = directory
        self.is_kept = False

    def start(self) -> None:
        """Start every process, two children to a worker, and wait until all queues of work are consumed."""
        for name in ("ingest", "dispatch", "projector", "scheduler"):
            self.built.start_process(name, name)
        for tier in Tier:
            command = ("worker", "--tier", tier.value, "--concurrency", CHILDREN)
            self.built.start_process(f"{WORKER}{tier.value}", *command)
        self.built.wait_until_ready()

    def waiting(self) -> dict[str, int]:
        """How many messages are ready in each queue that has to be empty in the end."""
        with connect(self.built.settings, role="chaos") as connection:
            channel = connection.channel()
            names = [queue.name for queue in TOPOLOGY.queues if queue.name not in _KEPT_FOR_PEOPLE]
            depths = {name: channel.queue_declare(name, passive=True).method.message_count for name in names}
        return {name: int(depth) for name, depth in depths.items() if depth}

    def held(self) -> list[str]:
        """A line for each queue with messages that somebody has and has not acknowledged, as the broker's counts go."""
        api = ManagementApi(self.built.settings)
        queues = api.get(api.of_vhost("queues")) or []
        counts = {queue["name"]: queue.get("messages_unacknowledged", 0) for queue in queues}
        return [f"queue {name}: {count} unacknowledged" for name, count in counts.items() if count]

    @contextmanager
    def projector(self) -> Iterator[Supervisor]:
        """The projector alone, after everything else has been stopped."""
        supervisor = Supervisor(self.built.environment, self.built.directory, lambda _line: None)
        supervisor.start("projector", "projector")
        try:
            yield supervisor
        finally:
            supervisor.stop()


@contextmanager
def battlefield(root: Path, *, keep: bool, tell: Callable[[str], None]) -> Iterator[Field]:
    """A field in a slot of its own under ``root``; no process of it outlives the block, or this process.

    Args:
        root: where its directory is made.
        keep: leave data and logs afterwards.
        tell: called with a line for each step.
    """
    slot = take_slot(root)
    _discard(slot)
    broker = RabbitMQNode(
        slot.directory / "rabbitmq",
        mark=slot.servers_mark,
        password=slot.password("rabbitmq"),
        programs=find_rabbitmq(),
    )
    database = PostgreSQLNode(
        slot.directory / "postgresql",
        mark=slot.servers_mark,
        password=slot.password("postgresql"),
        programs=find_postgresql(),
    )
    try:
        with guarded(slot), _up(broker, database, tell=tell), _platform(slot, broker, database, tell=tell) as built:
            field = Field(built, {Victim.BROKER: broker, Victim.DATABASE: database}, slot.directory)
            try:
                yield field
            finally:
                keep |= field.is_kept
    finally:
        if keep:
            tell(f"kept: {slot.directory}")
        else:
            database.discard_data()
            _discard(slot)


@contextmanager
def _up(*nodes: Node, tell: Callable[[str], None]) -> Iterator[None]:
    try:
        for node in nodes:
            timed(f"{node.title} started", node.start, tell)
        yield
    finally:
        for node in nodes:
            node.kill()  # its data is not needed any more


@contextmanager
def _platform(
    slot: Slot, broker: RabbitMQNode, database: PostgreSQLNode, *, tell: Callable[[str], None]
) -> Iterator[Platform]:
    settings = Settings(
        broker_url=SecretStr(broker.broker_url),
        management_url=SecretStr(broker.management_url),
        database_url=SecretStr(database.database_url),
        state_dir=slot.directory,
    )
    marked = processes.marked({"LEDGERQ_MANAGEMENT_URL": broker.management_url, **PACE}, slot.directory)
    # A server that is down in the end takes its sandbox with it.
    with suppress(SandboxError), platform(settings, label="chaos", tell=tell, pace=marked) as built:
        yield built


def _discard(slot: Slot) -> None:
    """Forget an earlier run's files, but not the lock."""
    for path in slot.directory.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
