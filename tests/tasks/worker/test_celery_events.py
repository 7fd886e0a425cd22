"""Task events as Celery's own tools see them: by its stock receiver and state, which Flower is made of."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pika
import pytest
from celery import Celery
from celery.events.state import State, Task
from kombu.exceptions import EncodeError
from pika.exceptions import ChannelClosedByBroker
from structlog.testing import capture_logs

from domain.tier import Tier
from tasks.worker import celery_events
from tasks.worker.attempt import Attempt
from tasks.worker.celery_events import KEPT, CeleryEvents
from tasks.worker.verdict import Verdict
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.waiting import eventually

ATTEMPT = Attempt(str(uuid4()), 1, "lab.add", "tasks.low", "low@here:1")


class Receiver(threading.Thread):
    """Celery's receiver and state, as Flower runs them.

    Attributes:
        state: what it makes of the events.
    """

    def __init__(self, broker_url: str) -> None:
        super().__init__(daemon=True)
        self._app = Celery("stock", broker=broker_url)
        self._closing = False
        self.is_listening = threading.Event()
        self.state = State()  # type: ignore[no-untyped-call]
        self.types: list[str] = []

    def run(self) -> None:
        with self._app.connection() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self._on_event})
            with receiver.consumer_context() as (listening, _, _):  # it makes a connection of its own
                self.is_listening.set()
                while not self._closing:
                    with suppress(TimeoutError):
                        listening.drain_events(timeout=0.2)

    def close(self) -> None:
        self._closing = True
        self.join(5)

    def _on_event(self, event: dict[str, Any]) -> None:
        self.types.append(event["type"])
        self.state.event(event)

    def task(self, run_id: str, state: str) -> Task:
        """What it knows of a run, once that is in the state."""

        def found() -> Task | None:
            task = self.state.tasks.get(run_id)
            return task if task and task.state == state else None

        task = eventually(found)
        assert task is not None
        return task


@pytest.fixture(scope="module")
def receiver(lab: Lab) -> Iterator[Receiver]:
    made = Receiver(lab.broker_url)
    made.start()
    assert made.is_listening.wait(10)
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker(lab: Lab, receiver: Receiver) -> Iterator[WorkerProcess]:
    del receiver  # first: an event that nobody receives is gone
    made = lab.worker(Tier.HIGH, LEDGERQ_CELERY_EVENTS="true")
    yield made
    made.kill()


@pytest.mark.system
def test_before_it_is_switched_on_nothing_is_told_or_declared(lab: Lab) -> None:
    silent = lab.worker(Tier.LOW)
    run = lab.publish("lab.add", 1, 2, tier=Tier.LOW)
    lab.ear.until(run, "task.succeeded 1")
    assert silent.stop() == 0
    with (
        pika.BlockingConnection(pika.URLParameters(lab.broker_url)) as connection,
        pytest.raises(ChannelClosedByBroker),
    ):
        connection.channel().exchange_declare("celeryev", passive=True)


@pytest.mark.system
def test_a_run_is_seen_to_succeed(lab: Lab, worker: WorkerProcess, receiver: Receiver) -> None:
    run = lab.publish("lab.add", 1, 2, tier=worker.tier)
    task = receiver.task(run, "SUCCESS")
    assert (task.name, task.result) == ("lab.add", "3")
    assert task.received <= task.started <= task.succeeded
    assert task.runtime >= 0
    assert task.worker.hostname.startswith("high@")


@pytest.mark.system
def test_a_run_is_seen_to_try_again_and_to_fail(lab: Lab, worker: WorkerProcess, receiver: Receiver) -> None:
    run = lab.publish("lab.autoretry", tier=worker.tier)
    task = receiver.task(run, "FAILURE")
    assert (task.name, task.retries) == ("lab.autoretry", 1)
    assert task.retried < task.failed
    assert task.exception.startswith("ValueError(")


@pytest.mark.system
def test_the_worker_is_seen_alive_and_seen_to_go(lab: Lab, worker: WorkerProcess, receiver: Receiver) -> None:
    del lab
    eventually(lambda: "worker-heartbeat" in receiver.types)
    (seen,) = receiver.state.workers.values()
    assert seen.alive
    assert seen.sw_ident == "py-celery"
    assert worker.stop() == 0
    eventually(lambda: "worker-offline" in receiver.types)
    assert not seen.alive


def deaf_app(port: int) -> Any:
    """An application whose broker is not there, or does not speak."""
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    return Celery("deaf", broker=url, broker_connection_timeout=1)


def tell(events: CeleryEvents, times: int) -> None:
    for _ in range(times):
        events.started(ATTEMPT, waited=timedelta(0))
        events.concluded(ATTEMPT, Verdict("task.succeeded", {"result": "3"}), runtime_seconds=0.1)


def test_a_broker_that_says_nothing_holds_up_nobody_and_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_events, "PAUSE_SECONDS", 0.05)
    with socket.socket() as mute, capture_logs() as told:
        mute.bind(("127.0.0.1", 0))  # and does not listen: refused
        events = CeleryEvents(deaf_app(mute.getsockname()[1]), hostname="low@here")
        events.start()
        began = time.monotonic()
        tell(events, KEPT)
        assert time.monotonic() - began < 5
        eventually(lambda: told)
        # Three more tries, by the clock of the pause.
        deadline = time.monotonic() + 1
        eventually(lambda: time.monotonic() > deadline)
        events.stop()
        assert not events.is_alive()
    assert [line["event"] for line in told] == ["the broker does not take Celery's task events"]
    assert len(events._waiting) == KEPT


def test_the_oldest_are_forgotten_first() -> None:
    events = CeleryEvents(SimpleNamespace(), hostname="low@here")  # type: ignore[arg-type]
    tell(events, KEPT)
    assert len(events._waiting) == KEPT
    assert events._waiting[-1][0] == "task-succeeded"


class Dispatcher:
    """In place of Celery's.

    Attributes:
        sent: names of events.
        flushes: how often what was sent left.
    """

    def __init__(self, errors: Sequence[Exception]) -> None:
        self.sent: list[str] = []
        self.flushes = 0
        self._errors = list(errors)

    def send(self, event: str, /, **_fields: Any) -> None:
        self.sent.append(event)

    def flush(self, *, errors: bool) -> None:
        del errors
        if self._errors:
            raise self._errors.pop(0)
        self.flushes += 1


class Trying(CeleryEvents):
    """Meets an error each time it connects, and then each time it sends, until there is none left."""

    def __init__(self, *, connecting: Sequence[Exception] = (), sending: Sequence[Exception] = ()) -> None:
        app = SimpleNamespace(connection_for_write=lambda: nullcontext(SimpleNamespace(ensure_connection=dict)))
        super().__init__(app, hostname="low@here")  # type: ignore[arg-type]
        self.dispatcher = Dispatcher(sending)
        self._errors = list(connecting)

    @contextmanager
    def _dispatcher(self, connection: Any) -> Iterator[Dispatcher]:
        del connection
        if self._errors:
            raise self._errors.pop(0)
        yield self.dispatcher


def test_whatever_a_connection_raises_is_told_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_events, "PAUSE_SECONDS", 0.01)
    torn = AttributeError("'NoneType' object has no attribute 'send'")
    events = Trying(connecting=[torn, OSError("gone")], sending=[EncodeError("a set"), torn])
    with capture_logs() as told:
        events.start()
        eventually(lambda: tell(events, 1) or events.dispatcher.flushes)
        events.stop()
    assert [line["event"] for line in told] == ["the broker does not take Celery's task events"]
    assert events.dispatcher.sent[-1] == "worker-offline"


def test_events_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_events, "FLUSH_SECONDS", 0.2)
    events, began = Trying(), time.monotonic()
    events.start()
    eventually(lambda: tell(events, 1) or time.monotonic() > began + 0.6, every=0.01)
    flushes, lasted = events.dispatcher.flushes, time.monotonic() - began
    events.stop()
    assert 1 <= flushes <= lasted / 0.2 + 1
