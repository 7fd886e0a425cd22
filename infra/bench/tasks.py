"""How many tasks a second a worker runs, beside the peers: bare Celery, Celery's own ways to record, and dramatiq."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from domain.tier import Tier
from infra.broker.connection import connect
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.broker.topology import INGEST, TASKS
from infra.settings import Settings

CHILDREN: Final = 2
_QUEUE: Final = Tier.NORMAL.queue
_DRAMATIQ_QUEUE: Final = "bench.dramatiq"
_WITHIN: Final = timedelta(seconds=120)
_DEADLINE_SECONDS: Final = 180.0
_LOOK_EVERY_SECONDS: Final = 0.02
_STARTED_AT: Final = 0.9
"""The clock runs from this part of the messages left: starting up is not measured …"""
_STOPPED_AT: Final = 0.1
"""… to this one, and neither is what comes to a stop."""
_CELERY: Final = (
    *("-m", "celery", "-A", "tasks.sample.bare", "worker", "-P", "prefork", "-O", "fair", "-c", str(CHILDREN)),
    *("-Q", _QUEUE, "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
)
OURS: Final = ("-m", "infra.cli", "worker", "--tier", Tier.NORMAL.value, "--concurrency", str(CHILDREN))


class Peer(NamedTuple):
    """A worker to be measured.

    Attributes:
        command: arguments of Python.
        environment: beside the platform's.
        queue: what it consumes.
        is_stored: whether ingest stores meanwhile what it tells.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = {}
    queue: str = _QUEUE
    is_stored: bool = False


class Measured(NamedTuple):
    """A worker's speed.

    Attributes:
        rate: tasks a second.
        processor_seconds: that a task takes, of the worker and its children together; others disturb it less.
        main_seconds: that a task takes of the worker's main process alone.
    """

    rate: float
    processor_seconds: float
    main_seconds: float


def peers(settings: Settings) -> dict[str, Peer]:
    """All of them by name; ``bare`` is what the others are compared with."""
    database = settings.database_url.get_secret_value()
    results = "db+postgresql+psycopg" + database.removeprefix("postgresql").removeprefix("postgres")
    dramatiq = ("-m", "dramatiq", "tasks.sample.dramatiq_peer", "--processes", "1", "--threads")
    return {
        "bare": Peer(_CELERY),
        "ours": Peer(OURS),
        "ours_strict": Peer(OURS, {"LEDGERQ_WORKER_AHEAD_MS": "0"}),
        "ours_stored": Peer(OURS, is_stored=True),
        "celery_events": Peer((*_CELERY, "-E")),
        "celery_database": Peer(_CELERY, {"BENCH_RESULTS": results}),
        "dramatiq_2_threads": Peer((*dramatiq, "2"), queue=_DRAMATIQ_QUEUE),
        "dramatiq_8_threads": Peer((*dramatiq, "8"), queue=_DRAMATIQ_QUEUE),
    }


class TaskBench:
    """Measures workers on a virtual host that has the topology and no other process of the platform.

    Args:
        settings: of that virtual host and its database.
        directory: where the workers' output goes.
        environment: the platform's.
    """

    def __init__(self, settings: Settings, directory: Path, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._directory = directory
        self._environment = environment
        self._connection = connect(settings, role="bench")
        self._channel = self._connection.channel()
        self._peers = peers(settings)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def quick_tasks(
        self, *, runs: int, rounds: int, with_all_peers: bool, tell: Callable[[str], None]
    ) -> dict[str, float]:
        """Tasks that do nothing: rates of all peers, and medians over rounds of their ratios to bare Celery.

        Args:
            runs: measured in each round.
            rounds: each measures every peer once, in turn.
            with_all_peers: otherwise only bare Celery takes part, the one that goals are about.
            tell: called with a line for each round.
        """
        names = tuple(self._peers) if with_all_peers else ("bare", "ours")
        figures = self._compare("sample.nothing", names, runs=runs, rounds=rounds, tell=tell)
        named = {
            "task_vs_bare_celery": "ours",
            "task_strict_vs_bare_celery": "ours_strict",
            "task_stored_vs_bare_celery": "ours_stored",
        }
        ours = {name: figures.pop(f"{peer}_ratio") for name, peer in named.items() if peer in names}
        others = {f"{name.removesuffix('_ratio')}_vs_bare_celery": v for name, v in figures.items() if "_ratio" in name}
        rates = {f"{name}_tasks_per_second": v for name, v in figures.items() if "_ratio" not in name}
        return {**ours, **others, **rates}

    def ten_millisecond_tasks(self, *, runs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
        """Tasks of ten milliseconds, ours and bare Celery's."""
        names = ("bare", "ours", "ours_strict")
        figures = self._compare("sample.ten_milliseconds", names, runs=runs, rounds=rounds, tell=tell)
        return {
            "task_10ms_vs_bare_celery": figures["ours_ratio"],
            "task_10ms_strict_vs_bare_celery": figures["ours_strict_ratio"],
        }

    def _compare(
        self, task: str, names: tuple[str, ...], *, runs: int, rounds: int, tell: Callable[[str], None]
    ) -> dict[str, float]:
        measured: list[dict[str, float]] = []
        for number in range(rounds):
            measured.append({name: self.measure(self._peers[name], task, runs).rate for name in names})
            tell(f"  {task}, round {number + 1}: " + ", ".join(f"{n} {r:,.0f}/s" for n, r in measured[-1].items()))
        rates = {name: statistics.median(m[name] for m in measured) for name in names}
        ratios = {
            f"{name}_ratio": statistics.median(m[name] / m["bare"] for m in measured)
            for name in names
            if name != "bare"
        }
        return {**rates, **ratios}

    def take_turns(
        self, task: str, peers: Mapping[str, Peer], *, runs: int, rounds: int, tell: Callable[[str], None]
    ) -> list[dict[str, Measured]]:
        """What each round measured, by peer; each measures all, in turn and the next time in the opposite order.

        Args:
            task: what they run.
            peers: by name.
            runs: of each in each round.
            rounds: how many.
            tell: called with a line for each round.
        """
        measured: list[dict[str, Measured]] = []
        for number in range(rounds):
            in_turn = list(peers) if number % 2 == 0 else list(peers)[::-1]
            measured.append({name: self.measure(peers[name], task, runs) for name in in_turn})
            said = (
                f"{n} {m.rate:,.0f}/s, {m.processor_seconds * 1e6:,.0f} us ({m.main_seconds * 1e6:,.0f} of main)"
                for n, m in measured[-1].items()
            )
            tell(f"  {task}, round {number + 1}: {'; '.join(said)}")
        return measured

    def measure(self, peer: Peer, task: str, runs: int) -> Measured:
        """How fast a worker runs ``runs`` tasks, and what that takes."""
        self._channel.queue_declare(_DRAMATIQ_QUEUE, durable=True, arguments=_DRAMATIQ_ARGUMENTS)
        self._channel.queue_bind(_DRAMATIQ_QUEUE, TASKS, _DRAMATIQ_QUEUE)
        self._publish(peer.queue, task, runs)
        storing = self._process("ingest", ("-m", "infra.cli", "ingest"), {}) if peer.is_stored else nullcontext()
        with storing, self._process("worker", peer.command, peer.environment) as worker:
            self._drain(worker, peer.queue, runs * _STARTED_AT)
            began, before, spent = time.monotonic(), self._depth(peer.queue), processor_seconds(worker.pid)
            left = self._drain(worker, peer.queue, runs * _STOPPED_AT)
            took, until = time.monotonic() - began, processor_seconds(worker.pid)
        self._await_return(peer.queue)
        for queue in (peer.queue, INGEST):
            self._channel.queue_purge(queue)
        count = before - left
        return Measured(count / took, (until.all - spent.all) / count, (until.main - spent.main) / count)

    def _publish(self, queue: str, task: str, runs: int) -> None:
        message = _dramatiq_message if queue == _DRAMATIQ_QUEUE else _celery_message
        with Publisher(self._settings, role="bench") as publisher:
            for first in range(0, runs, 1000):
                publisher.publish([message(task) for _ in range(min(1000, runs - first))], timeout=_WITHIN)

    def _drain(self, worker: subprocess.Popen[bytes], queue: str, to: float) -> int:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while (depth := self._depth(queue)) > to:
            if worker.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{depth} messages are left in {queue}; see {self._directory}/bench-worker.log")
            self._connection.sleep(_LOOK_EVERY_SECONDS)
        return depth

    def _await_return(self, queue: str) -> None:
        """Until what the killed worker had in hand is back: the next worker would ask the log about each of these."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._channel.queue_declare(queue, passive=True).method.consumer_count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the broker has not noticed that the worker of {queue} is gone")
            self._connection.sleep(_LOOK_EVERY_SECONDS)

    def _depth(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    @contextmanager
    def _process(
        self, name: str, command: tuple[str, ...], environment: Mapping[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        with (self._directory / f"bench-{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own command lines
                (sys.executable, *command),
                env={**self._environment, "LEDGERQ_LOG_LEVEL": "warning", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            os.killpg(process.pid, 9)  # its children too; what it has in hand is not wanted any more
            process.wait()


_GROUP, _USER_TICKS, _SYSTEM_TICKS = 2, 11, 12
"""Places in ``/proc/PID/stat``, counted from after the name."""
_DRAMATIQ_ARGUMENTS: Final = {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": f"{_DRAMATIQ_QUEUE}.XQ",
}
"""As dramatiq declares its queues."""


def _celery_message(task: str) -> OutgoingMessage:
    run_id = str(uuid4())
    return OutgoingMessage(
        exchange=TASKS,
        routing_key=_QUEUE,
        body=b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
        content_encoding="utf-8",
        headers={
            "lang": "py",
            "task": task,
            "id": run_id,
            "root_id": run_id,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "bench",
        },
        priority=Tier.NORMAL.default_priority,
        correlation_id=run_id,
    )


def _dramatiq_message(task: str) -> OutgoingMessage:
    said = {
        "queue_name": _DRAMATIQ_QUEUE,
        "actor_name": task,
        "args": [],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid4()),
        "message_timestamp": int(time.time() * 1000),
    }
    return OutgoingMessage(exchange=TASKS, routing_key=_DRAMATIQ_QUEUE, body=json.dumps(said).encode())


class Spent(NamedTuple):
    """Seconds of processor time: of a group of processes, and of the one that leads it."""

    all: float
    main: float


def processor_seconds(group: int) -> Spent:
    """What the processes of a group have had of the processors so far (Linux, proc(5))."""
    ticks = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            after_name = stat.read_text().rpartition(")")[2].split()
            if int(after_name[_GROUP]) == group:
                ticks[int(stat.parent.name)] = int(after_name[_USER_TICKS]) + int(after_name[_SYSTEM_TICKS])
    in_a_second = os.sysconf("SC_CLK_TCK")
    return Spent(sum(ticks.values()) / in_a_second, ticks.get(group, 0) / in_a_second)
