"""Task events in Celery's own words, for its tools (Flower, celery-exporter, ``celery events``), where they are wanted.

Told by a thread of its own over a connection of its own, from a queue that forgets the oldest when it is full: Celery
sends them from the worker's loop, which then waits for a broker that takes nothing. The log does not depend on them.
Source: Celery documentation, "Monitoring and Management Guide", section "Event Reference".
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery.utils.nodenames import host_format
from celery.utils.sysinfo import load_average
from celery.worker.state import SOFTWARE_INFO, active_requests

from domain.task_run import HoldReason, TaskRejected, TaskRevoked, TaskSucceeded
from tasks.worker.attempt import Attempt
from tasks.worker.verdict import Verdict

if TYPE_CHECKING:
    from tasks.app import TaskApp

KEPT: Final = 10_000
"""Events that wait at most; more, and the oldest are forgotten."""
HEARTBEAT_SECONDS: Final = 2.0
FLUSH_SECONDS: Final = 0.25
"""How long events are kept back for more of them to come: one message holds many."""
PAUSE_SECONDS: Final = 5.0
"""Before the next try where the broker does not take them."""
STOP_WITHIN_SECONDS: Final = 2.0
_NAMES: Final = {
    TaskSucceeded.TOPIC: "task-succeeded",
    TaskRejected.TOPIC: "task-rejected",
    TaskRevoked.TOPIC: "task-revoked",
}
"""How Celery calls an end; every other one is ``task-failed``."""

_log = structlog.get_logger("ledgerq.worker")


class CeleryEvents(threading.Thread):
    """Tells what becomes of attempts; :meth:`started` and :meth:`concluded` return at once.

    Args:
        app: whose broker and serializer.
        hostname: the worker's name as Celery has it (``high@%h``).
    """

    def __init__(self, app: TaskApp, *, hostname: str) -> None:
        super().__init__(name="celery events", daemon=True)
        self._app = app
        self._hostname = host_format(hostname)
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque(maxlen=KEPT)
        self._told = threading.Event()
        self._closing = threading.Event()
        self._concluded = 0
        self._is_in_trouble = False

    def started(self, attempt: Attempt, *, waited: timedelta) -> None:
        """A child began an attempt."""
        now = time.time()
        self._tell("task-received", attempt, now - waited.total_seconds(), **_received(attempt))
        self._tell("task-started", attempt, now)

    def held(self, because: HoldReason | None) -> None:
        """Celery has no word for it."""

    def concluded(self, attempt: Attempt, verdict: Verdict, *, runtime_seconds: float | None) -> None:
        """An attempt came to an outcome."""
        self._concluded += 1
        if verdict.name is None:
            return
        name = "task-retried" if verdict.following else _NAMES.get(verdict.name, "task-failed")
        fields: dict[str, Any] = {}
        if name == "task-succeeded":
            fields = {"result": verdict.data.get("result"), "runtime": runtime_seconds}
        elif "error" in verdict.data:
            exception = f"{verdict.data['error_type']}({verdict.data['error']!r})"
            fields = {"exception": exception, "traceback": verdict.data.get("traceback")}
        self._tell(name, attempt, time.time(), **fields)

    def stop(self) -> None:
        """Say that the worker goes, and end; what the broker does not take within a moment stays unsaid."""
        self._closing.set()
        self._told.set()
        if self.is_alive():
            self.join(STOP_WITHIN_SECONDS)

    def run(self) -> None:
        """Connect, tell, and connect again; until stopped."""
        while not self._closing.is_set():
            try:
                with self._app.connection_for_write() as connection:
                    connection.ensure_connection(max_retries=1, timeout=PAUSE_SECONDS)
                    with self._dispatcher(connection) as dispatcher:
                        self._serve(dispatcher)
            except Exception as error:  # noqa: BLE001  a torn connection raises anything, and nobody else tells events
                if not self._is_in_trouble:
                    reason = f"{type(error).__name__}: {error}"
                    _log.warning("the broker does not take Celery's task events", reason=reason)
                self._is_in_trouble = True
                self._closing.wait(PAUSE_SECONDS)

    def _dispatcher(self, connection: Any) -> Any:
        """Celery's, which sends many events in one message; what waits is bounded here and not there."""
        return self._app.events.Dispatcher(
            connection, hostname=self._hostname, buffer_group={"task"}, buffer_while_offline=False
        )

    def _serve(self, dispatcher: Any) -> None:
        self._send_about_worker(dispatcher, "worker-online")
        next_beat = time.monotonic() + HEARTBEAT_SECONDS
        while not self._closing.is_set():
            if self._told.wait(max(0.0, next_beat - time.monotonic())):
                self._closing.wait(FLUSH_SECONDS)
                self._told.clear()
            self._send_waiting(dispatcher)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + HEARTBEAT_SECONDS
                self._send_about_worker(dispatcher, "worker-heartbeat")
        self._send_waiting(dispatcher)
        self._send_about_worker(dispatcher, "worker-offline")

    def _send_waiting(self, dispatcher: Any) -> None:
        while self._waiting:
            name, fields = self._waiting.popleft()
            dispatcher.send(name, **fields)
        dispatcher.flush(errors=False)
        self._is_in_trouble = False

    def _send_about_worker(self, dispatcher: Any, name: str) -> None:
        dispatcher.send(
            name,
            freq=HEARTBEAT_SECONDS,
            active=len(active_requests),
            processed=self._concluded,
            loadavg=load_average(),
            **SOFTWARE_INFO,
        )

    def _tell(self, name: str, attempt: Attempt, at: float, **fields: Any) -> None:
        told = {"uuid": attempt.run_id, "name": attempt.task, "timestamp": at, **fields}
        self._waiting.append((name, told))
        self._told.set()


def _received(attempt: Attempt) -> dict[str, Any]:
    """What Celery says of a task that a worker has received."""
    envelope = attempt.envelope
    if envelope is None:
        return {}
    return {
        "args": envelope.argsrepr,
        "kwargs": envelope.kwargsrepr,
        "root_id": envelope.root_id,
        "parent_id": envelope.parent_id,
        "retries": attempt.number - 1,
        "eta": envelope.eta,
        "expires": envelope.expires,
    }
