"""The lab: a virtual host, workers in processes of their own, and an ear that hears what becomes of each run."""

import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import msgspec
import pika
from pika.exceptions import AMQPError

from domain.messages import MessageInvalid, MessageTypeUnknown, decode_data
from domain.tier import Tier
from infra.broker import topology
from infra.broker.odd_headers import tolerate_odd_headers
from infra.cloudevents import CloudEvent, Unreadable, decode
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]


class Heard(NamedTuple):
    """One lifecycle event: its CloudEvent's attributes and its data."""

    attributes: dict[str, Any]
    data: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.attributes["type"])

    @property
    def told(self) -> str:
        """``task.started 1``: what, and of which attempt."""
        return f"{self.name} {self.data['attempt']}"


class DeadLetter(NamedTuple):
    headers: dict[str, Any]
    body: bytes
    priority: int | None
    routing_key: str


class Ear(threading.Thread):
    """Takes everything from queues ``ingest`` and ``dead``, reads it the way ingest does, and keeps it.

    Attributes:
        refused: what ingest could not read, and why.
    """

    def __init__(self, broker_url: str) -> None:
        super().__init__(daemon=True)
        self._broker_url = broker_url
        self._closing = threading.Event()
        self.heard: dict[str, list[Heard]] = defaultdict(list)
        self.dead: list[DeadLetter] = []
        self.batches: list[int] = []
        self.refused: list[str] = []

    def run(self) -> None:
        tolerate_odd_headers()
        connection = pika.BlockingConnection(pika.URLParameters(self._broker_url))
        channel = connection.channel()
        channel.basic_consume("ingest", self._on_event, auto_ack=True)
        channel.basic_consume("dead", self._on_dead, auto_ack=True)
        while not self._closing.is_set():
            connection.process_data_events(time_limit=0.05)
        with suppress(AMQPError):
            connection.close()

    def close(self) -> None:
        self._closing.set()
        self.join(5)

    def _on_event(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        events = decode(properties.content_type, properties.headers, body)
        self.batches.append(len(events))
        for event in events:
            if isinstance(event, Unreadable):
                self.refused.append(f"{event.reason}: {event.fragment!r}")
            else:
                self._keep(event)

    def _keep(self, event: CloudEvent) -> None:
        try:
            decode_data(event.type, event.data)
        except (MessageInvalid, MessageTypeUnknown) as error:
            self.refused.append(f"{error}: {bytes(event.data)!r}")
            return
        attributes = msgspec.json.decode(msgspec.json.encode(event))
        data = attributes.pop("data")
        self.heard[data["run_id"]].append(Heard(attributes, data))

    def _on_dead(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.dead.append(DeadLetter(properties.headers or {}, body, properties.priority, method.routing_key))

    def story(self, run_id: str) -> list[str]:
        """What was told of a run so far; a repeat of the same event counts once, as it does for ingest."""
        return list(dict.fromkeys(heard.told for heard in self.heard[run_id]))

    def until(self, run_id: str, last: str, *, seconds: float = 20) -> list[str]:
        """The story once it has come to ``last``."""

        def story() -> list[str]:
            so_far = self.story(run_id)
            assert last in so_far, (so_far, self.refused)
            return so_far

        return eventually(story, seconds=seconds)

    def event(self, run_id: str, told: str) -> Heard:
        """One event of a run: ``event(run, "task.failed 3")``."""
        return next(heard for heard in self.heard[run_id] if heard.told == told)

    def dead_letter(self, run_id: str) -> DeadLetter:
        """The dead letter of what was published under ``run_id``, once it is there."""
        return eventually(lambda: self.dead_letters(run_id), seconds=10)[0]

    def dead_letters(self, run_id: str) -> list[DeadLetter]:
        return [letter for letter in self.dead if letter.headers.get("lab-id") == run_id]


class WorkerProcess:
    """A worker with the lab's tasks."""

    def __init__(self, lab: "Lab", tier: Tier, concurrency: int, **settings: str) -> None:
        self.tier = tier
        self.lab = lab
        self.log = lab.directory / f"worker-{tier.value}-{uuid4().hex[:6]}.log"
        self.gate = self.log.with_suffix(".gate")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "tests.tasks.worker.hosted", tier.value, str(concurrency)),
                cwd=ROOT,
                env={**os.environ, **lab.environment, "LAB_GATE": str(self.gate), **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, times: int = 1) -> None:
        """Until it has consumed ``times`` times."""

        def ready() -> bool:
            text = self.log.read_text()
            assert self.is_alive(), text
            return text.count("worker ready") >= times

        eventually(ready, seconds=30)

    def kill(self) -> None:
        """With it die its children: they are told to by the kernel."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        if self.is_alive():
            self.process.terminate()
        return self.process.wait(30)


class Lab:
    """One virtual host with the platform's topology, and what happens on it."""

    def __init__(self, settings: Settings, directory: Path, *, listens: bool = True) -> None:
        self.settings = settings
        self.directory = directory
        self.broker_url = settings.broker_url.get_secret_value()
        self.environment = {"LEDGERQ_BROKER_URL": self.broker_url}
        self.ear = Ear(self.broker_url)
        if listens:  # else an ingest does
            self.ear.start()
        self._workers: list[WorkerProcess] = []

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        if self.ear.is_alive():
            self.ear.close()
        assert not self.ear.refused, self.ear.refused

    def worker(self, tier: Tier, concurrency: int = 1, **settings: str) -> WorkerProcess:
        """Start a worker and wait until it consumes."""
        worker = WorkerProcess(self, tier, concurrency, **settings)
        self._workers.append(worker)
        worker.wait_ready()
        return worker

    def publish(
        self,
        task: str | None,
        *args: Any,
        tier: Tier = Tier.NORMAL,
        body: bytes | None = None,
        headers: Mapping[str, Any] | None = None,
        content_type: str | None = "application/json",
        content_encoding: str | None = "utf-8",
        priority: int | None = None,
        **kwargs: Any,
    ) -> str:
        """Publish a task message the way any client can; its run id. ``body`` and ``headers`` are sent as they are."""
        run_id = str(uuid4())
        sound: dict[str, Any] = {"id": run_id, "task": task, "root_id": run_id, "retries": 0, "lab-id": run_id}
        with pika.BlockingConnection(pika.URLParameters(self.broker_url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(
                "tasks",
                tier.queue,
                json.dumps([list(args), kwargs, {}]).encode() if body is None else body,
                pika.BasicProperties(
                    headers=sound if headers is None else {**sound, **headers},
                    content_type=content_type,
                    content_encoding=content_encoding,
                    priority=priority,
                    delivery_mode=2,
                ),
                mandatory=True,
            )
        return run_id

    def depth(self, queue: str) -> int:
        """Messages in a queue that are ready to be delivered."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        with pika.BlockingConnection(pika.URLParameters(self.broker_url)) as connection:
            yield connection.channel()

    def close_connections_of(self, worker: WorkerProcess) -> int:
        """Have the broker close every connection of a worker's main process; how many those were."""
        mark = f"(pid {worker.pid} on"
        found = [
            connection["name"]
            for connection in self.api("GET", f"vhosts/{self.vhost}/connections")
            if mark in connection.get("client_properties", {}).get("connection_name", "")
        ]
        for name in found:
            self.api("DELETE", f"connections/{quote(name, safe='')}")
        return len(found)

    @property
    def vhost(self) -> str:
        return urlsplit(self.broker_url).path[1:]

    def api(self, method: str, path: str) -> Any:
        """Ask the management API."""
        assert self.settings.management_url is not None
        url = urlsplit(self.broker_url)
        login = b64encode(f"{url.username}:{url.password}".encode()).decode()
        request = Request(  # noqa: S310
            f"{self.settings.management_url.get_secret_value()}/api/{path}",
            method=method,
            headers={"authorization": f"Basic {login}"},
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def laboratory(servers: Settings, directory: Path) -> Iterator[Lab]:
    """A lab on a virtual host of its own."""
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="worker")
    settings = servers.model_copy(update=sandbox.settings_update())
    topology.apply(settings)
    lab = Lab(settings, directory)
    try:
        yield lab
    finally:
        lab.close()
        sandbox.drop()
