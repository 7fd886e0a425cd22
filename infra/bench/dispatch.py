"""How many accepted runs dispatch publishes a second, beside a client's plain ``apply_async``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pika

from domain.tier import Tier
from infra.bench import payload
from infra.broker.connection import connect
from infra.event_store import EventStore, Log
from infra.settings import Settings

_QUEUE: Final = Tier.NORMAL.queue
_BATCH: Final = 1000
_DEADLINE_SECONDS: Final = 120.0
_LOOK_EVERY_SECONDS: Final = 0.01
_STARTED_AT: Final = 0.1
"""The clock runs from this part of the messages: starting up is not measured …"""
_STOPPED_AT: Final = 0.9
"""… to this one."""
_DISPATCH: Final = ("-m", "infra.cli", "dispatch")
_CLIENT: Final = ("-m", "tasks.sample.bare_client")
_WITHOUT_LIMIT: Final = {"LEDGERQ_TIER_READY_LIMIT_MESSAGES": "10000000", "LEDGERQ_LOG_LEVEL": "warning"}


class DispatchBench:
    """Measures on a virtual host that has the topology and no process of the platform.

    Args:
        settings: of that virtual host and its database.
        directory: where the processes' output goes.
        environment: the platform's.
    """

    def __init__(self, settings: Settings, directory: Path, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._directory = directory
        self._environment = {**environment, **_WITHOUT_LIMIT}

    def measure(self, *, runs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
        """Runs published a second: by dispatch, confirmed and recorded; by a client, without and with confirms.

        Args:
            runs: published by each in each round.
            rounds: each measures everyone once.
            tell: called with a line for each round.
        """
        found: list[dict[str, float]] = []
        with closing(connect(self._settings, role="bench")) as connection:
            queue = _Queue(connection, self._directory)
            for number in range(rounds):
                self._accept(runs)
                rates = {
                    "ours": self._rate(queue, _DISPATCH, runs),
                    "apply_async": self._rate(queue, (*_CLIENT, str(runs)), runs),
                    "confirmed_apply_async": self._rate(queue, (*_CLIENT, str(runs), "confirmed"), runs),
                }
                found.append(rates)
                tell(f"  round {number + 1}: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items()))
        figures = {"dispatch_per_second": statistics.median(each["ours"] for each in found)}
        for peer in ("apply_async", "confirmed_apply_async"):
            figures[f"dispatch_{peer}_per_second"] = statistics.median(each[peer] for each in found)
            figures[f"dispatch_vs_{peer}"] = statistics.median(each["ours"] / each[peer] for each in found)
        return figures

    def _accept(self, runs: int) -> None:
        """Have so many runs accepted and not published."""
        with EventStore(self._settings.database_url.get_secret_value(), name="bench") as store:
            for _ in range(0, runs, _BATCH):
                store.append(Log.TASKS, payload.task_requests(_BATCH))

    def _rate(self, queue: _Queue, command: tuple[str, ...], runs: int) -> float:
        with self._process(command) as process:
            began_at = queue.filled(process, runs * _STARTED_AT)
            began = time.monotonic()
            ended_at = queue.filled(process, runs * _STOPPED_AT)
            took = time.monotonic() - began
            queue.filled(process, runs)
        queue.purge()
        return (ended_at - began_at) / took

    @contextmanager
    def _process(self, command: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        with (self._directory / "bench-dispatch.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own command lines
                (sys.executable, *command),
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


class _Queue:
    """Where they publish to."""

    def __init__(self, connection: pika.BlockingConnection, directory: Path) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._directory = directory

    def filled(self, process: subprocess.Popen[bytes], to: float) -> int:
        """How many messages are in it, once that is so many."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while (depth := self._depth()) < to:
            if process.poll() or time.monotonic() > deadline:
                raise RuntimeError(f"{depth} messages are in {_QUEUE}; see {self._directory}/bench-dispatch.log")
            self._connection.sleep(_LOOK_EVERY_SECONDS)
        return depth

    def purge(self) -> None:
        """Empty it."""
        self._channel.queue_purge(_QUEUE)

    def _depth(self) -> int:
        return int(self._channel.queue_declare(_QUEUE, passive=True).method.message_count)
