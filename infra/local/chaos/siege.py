"""The siege: keeps the platform up, as systemd would, and kills what the plan says when it says so."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar
from urllib.parse import quote

from infra.broker.errors import BrokerError
from infra.broker.management import ManagementApi
from infra.local.chaos.plan import Kill, Victim
from infra.local.errors import NodeStartError
from infra.local.node import Node
from infra.local.supervisor import Child, Supervisor

Thing = TypeVar("Thing")

LOOK_EVERY_SECONDS: Final = 0.05
WORKER: Final = "worker-"
"""How the names of workers begin, among the supervisor's children."""


class Siege:
    """One run of kills.

    Args:
        supervisor: keeps the platform's processes alive.
        servers: the broker's node and the database's.
        management: of the broker, with the platform's virtual host.
        tell: called with a line for each kill of a server.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        servers: Mapping[Victim, Node],
        management: ManagementApi,
        *,
        tell: Callable[[str], None],
    ) -> None:
        self._supervisor = supervisor
        self._servers = servers
        self._management = management
        self._tell = tell
        self._kills: deque[Kill] = deque()
        self._due = 0.0
        self._is_server_down = False
        self.killed: Counter[Victim] = Counter()

    def lay(self, kills: Iterable[Kill], *, until: Callable[[], bool]) -> None:
        """Kill everything in ``kills``, and keep the platform up until that is done and ``until`` says so too.

        Raises:
            NodeStartError: a killed server does not come back.
        """
        self._kills = deque(kills)
        self._set_due()
        while self._kills or not until():
            self.look()
            time.sleep(LOOK_EVERY_SECONDS)

    def look(self) -> None:
        """Start again what died, and strike if it is time."""
        self._supervisor.look()
        if not self._kills or time.monotonic() < self._due:
            return
        kill = self._kills[0]
        if kill.victim.is_server:
            if not self._is_server_down:  # one of them at a time; processes are killed during an outage too
                self._take()
                self._kill_server(kill)
        elif self._strike(kill):
            self._take()

    def _take(self) -> None:
        self.killed[self._kills.popleft().victim] += 1
        self._set_due()

    def _set_due(self) -> None:
        if self._kills:
            self._due = time.monotonic() + self._kills[0].pause_seconds

    def _strike(self, kill: Kill) -> bool:
        """Whether there was anything to kill; what has just died is waited for."""
        if kill.victim is Victim.CONNECTION:
            return self._cut_connection(kill)
        victims = self._pids(kill.victim)
        if not victims:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(_picked(victims, kill), signal.SIGKILL)
            return True
        return False

    def _pids(self, victim: Victim) -> list[int]:
        if victim is Victim.WORKER:
            return [worker.pid for worker in self._workers() if worker.pid]
        if victim is Victim.CHILD:
            return children_of([worker.pid for worker in self._workers() if worker.pid])
        return [child.pid for child in self._supervisor.children if child.name == victim.value and child.pid]

    def _workers(self) -> list[Child]:
        return [child for child in self._supervisor.children if child.name.startswith(WORKER)]

    def _cut_connection(self, kill: Kill) -> bool:
        try:
            known = self._management.get(f"vhosts/{quote(self._management.vhost, safe='')}/connections") or []
            names = sorted(connection["name"] for connection in known)
            if names:
                path = f"connections/{quote(_picked(names, kill), safe='')}"
                self._management.call("DELETE", path, absent_is_fine=True)
        except BrokerError:  # it is down or just coming back
            return False
        return bool(names)

    def _kill_server(self, kill: Kill) -> None:
        node = self._servers[kill.victim]
        ports = dict(node.ports)
        self._is_server_down = True
        node.kill()
        began = time.monotonic()
        while time.monotonic() - began < kill.down_seconds:
            self.look()
            time.sleep(LOOK_EVERY_SECONDS)
        node.start(keep_data=True, canceled=self._meanwhile)
        if node.ports != ports:
            raise NodeStartError(f"{node.title}: its port was taken by somebody else while it was down")
        self._is_server_down = False
        self._tell(f"{node.title} killed, back after {time.monotonic() - began:.1f} s")

    def _meanwhile(self) -> bool:
        """While a server starts: go on with the others; never a reason to give up."""
        self.look()
        return False


def _picked(things: list[Thing], kill: Kill) -> Thing:
    return things[min(int(kill.pick * len(things)), len(things) - 1)]


def children_of(parents: Iterable[int]) -> list[int]:
    """Ids of the processes that these have started, in order."""
    wanted = set(parents)
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)  # noqa: S607
    pairs = (line.split() for line in listed.stdout.splitlines())
    return sorted(int(pid) for pid, parent in pairs if int(parent) in wanted)
