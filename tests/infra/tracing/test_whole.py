"""What the real processes really send, told as trees: from a service's message to the end of its run."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pika
import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from domain.task_run import run_stream
from infra import database, tracing
from infra.broker import topology
from infra.broker.emitter import Emitter, new_event
from infra.cloudevents import CloudEvent, encode_structured
from infra.cloudevents.encoding import STRUCTURED
from infra.event_store import EventStore, Log
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from infra.tracing import ids
from tests.infra.tracing.collector import Collector, Got, grpc_collector, http_collector
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
RATIO = 0.5
EMITTED = ["PRODUCER publish events", "  CONSUMER process ingest", "    INTERNAL append tasks"]


class Fleet(NamedTuple):
    """The platform, and what it has sent: over HTTP, but tier high's worker over gRPC."""

    settings: Settings
    collector: Collector
    grpc: Collector
    emitter: Emitter

    def request(
        self,
        task: str,
        *,
        correlation_id: str | None = None,
        tier: str = "normal",
        run_id: str | None = None,
        **kwargs: Any,
    ) -> "Asked":
        """Emit a request as a service does."""
        run_id, correlation_id = run_id or str(uuid4()), correlation_id or sampled()
        data = {"task": task, "run_id": run_id, "tier": tier, "kwargs": kwargs}
        event = new_event("task.requested", source="/test", data=data, time=datetime.now(UTC))
        event = _correlated(event, correlation_id)
        self.emitter.emit(event)
        return Asked(run_id, ids.trace_id(correlation_id))

    def send(self, exchange: str, key: str, body: bytes, headers: dict[str, Any], content_type: str) -> None:
        """Publish as a client does that knows nothing of ours."""
        with pika.BlockingConnection(pika.URLParameters(self.settings.broker_url.get_secret_value())) as connection:
            properties = pika.BasicProperties(headers=headers, content_type=content_type, content_encoding="utf-8")
            connection.channel().basic_publish(exchange, key, body, properties)


class Asked(NamedTuple):
    run_id: str
    trace_id: str


def sampled(*, wanted: bool = True) -> str:
    """A correlation id whose story is, or is not, among the share that is sampled."""
    while True:
        name = secrets.token_hex(8)
        if ids.is_sampled(ids.trace_id(name), RATIO) is wanted:
            return name


def _correlated(event: CloudEvent, correlation_id: str) -> CloudEvent:
    return replace(event, correlationid=correlation_id)


@pytest.fixture(scope="module")
def fleet(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("traced")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="traced")
    made = servers.model_copy(update=sandbox.settings_update())
    database.migrate(made)
    topology.apply(made)
    with ExitStack() as stack:
        stack.callback(sandbox.drop)
        collector, grpc = stack.enter_context(http_collector()), stack.enter_context(grpc_collector())
        environment = {
            "LEDGERQ_TRACING_ENDPOINT": collector.endpoint,
            "LEDGERQ_TRACING_SAMPLED": str(RATIO),
            "LEDGERQ_TRACING_INSTRUMENT": "psycopg",
        }
        for command in ("ingest", "dispatch", "projector --only task_runs"):
            log = directory / f"{command.split()[0]}.log"
            stack.enter_context(Process(command, made, log=log, **environment))
        over_grpc = {"LEDGERQ_TRACING_ENDPOINT": grpc.endpoint, "LEDGERQ_TRACING_PROTOCOL": "grpc"}
        for tier, more in (("normal", {}), ("high", over_grpc)):
            worker = _worker(tier, made, directory / f"{tier}.log", {**environment, **more})
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        eventually(lambda: [log.name for log in directory.glob("*.log") if not _is_ready(log)] == [], seconds=150)
        traced = {"tracing_endpoint": SecretStr(collector.endpoint), "tracing_sampled": RATIO}
        settings = made.model_copy(update=traced)
        with Emitter(settings, role="service") as emitter:
            yield Fleet(settings, collector, grpc, emitter)
        tracing.stop()
        for log in directory.glob("*.log"):
            assert "spans" not in log.read_text(), log.read_text()


def _is_ready(log: Path) -> bool:
    return any(said in log.read_text() for said in ("ingest consumes", '"leading"', "worker ready"))


def _worker(tier: str, settings: Settings, log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    urls = {
        "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            (sys.executable, "-m", "tests.infra.tracing.hosted", tier),
            env={**os.environ, **urls, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def attempt(outcome: str, *more: str) -> list[str]:
    """An attempt with what it has begun, started and ended."""
    lines = [*more, "INTERNAL append tasks", "INTERNAL append tasks"]
    return [
        f"        CONSUMER process tasks.normal{outcome}",
        *(f"          {line}" for line in sorted(lines, key=_name)),
    ]


def _name(line: str) -> str:
    return line.split(" ", 1)[1]


PUBLISHED = ["      PRODUCER publish tasks.normal", "        INTERNAL append tasks"]


def test_a_run_that_succeeds_is_one_story_with_what_its_task_did(fleet: Fleet) -> None:
    asked = fleet.request("traced.looks")
    fleet.collector.until_tree(
        asked.trace_id,
        [
            *EMITTED,
            *PUBLISHED,
            "        CONSUMER process tasks.normal",
            "          INTERNAL append tasks",
            "          INTERNAL append tasks",
            "          INTERNAL by hand",
            "            CLIENT select",
        ],
    )
    by_name = {span.name: span for span in fleet.collector.trace(asked.trace_id)}
    done = by_name["process tasks.normal"]
    assert done.span_id == ids.attempted(asked.run_id, 1)
    assert (done.attributes["ledgerq.task.id"], done.attributes["ledgerq.task.name"]) == (asked.run_id, "traced.looks")
    assert (done.attributes["messaging.system"], done.attributes["customer"]) == ("rabbitmq", "c-17")
    assert len(done.attributes["note"]) == 1000
    assert done.attributes["messaging.destination.name"] == "tasks:tasks.normal"
    assert done.attributes["ledgerq.task.outcome"] == "task.succeeded"
    assert 0 < done.ended - done.began < 10**10
    services = {span.service for span in by_name.values()}
    assert services == {"ledgerq-service", "ledgerq-ingest", "ledgerq-dispatch", "ledgerq-worker"}
    taken = by_name["process ingest"]
    assert (taken.trace_id, by_name["publish events"].span_id) in [link[:2] for link in taken.links]
    (projected, *_) = fleet.collector.until(
        lambda span: span.name == "project task_runs" and asked.trace_id in {trace for trace, *_ in span.links}
    )
    assert projected.trace_id != asked.trace_id
    assert projected.parent == ""


def test_the_attempts_of_a_run_lie_side_by_side_and_name_the_one_before(fleet: Fleet, tmp_path: Path) -> None:
    asked = fleet.request("traced.flaky", path=str(tmp_path / "tries"))
    fleet.collector.until_tree(asked.trace_id, [*EMITTED, *PUBLISHED, *attempt(" !ValueError"), *attempt("")])
    first, second = [each for each in fleet.collector.trace(asked.trace_id) if each.name == "process tasks.normal"]
    assert first.marks["task.retry_scheduled"]["ledgerq.retry.delay_seconds"] == 0
    assert (asked.trace_id, first.span_id, {"ledgerq.link": "previous attempt"}) in second.links
    assert second.attributes["ledgerq.task.attempt"] == 2


def test_a_dead_letter_ends_its_story_and_a_replay_begins_another(
    fleet: Fleet,
) -> None:
    asked = fleet.request("traced.hopeless", card="the-card-number")
    died = [*EMITTED, *PUBLISHED, "        CONSUMER process tasks.normal !LookupError"]
    inside = ["          INTERNAL append tasks"] * 2
    buried = ["          CONSUMER process dead.record", "            INTERNAL append tasks"]
    fleet.collector.until_tree(asked.trace_id, [*died, *inside, *buried])
    (last,) = [each for each in fleet.collector.trace(asked.trace_id) if each.name == "process tasks.normal"]
    assert "task.dead_lettered" in last.marks
    new_run = _replay(fleet, asked.run_id)
    root = ids.replayed(new_run, is_sampled=True)
    again = ["INTERNAL replay dead", "  INTERNAL append tasks", "    PRODUCER publish tasks.normal"]
    again += ["      INTERNAL append tasks", "      CONSUMER process tasks.normal !LookupError"]
    again += ["        INTERNAL append tasks"] * 2
    again += ["        CONSUMER process dead.record", "          INTERNAL append tasks"]
    fleet.collector.until_tree(root.trace_id, again)
    (replay,) = [each for each in fleet.collector.trace(root.trace_id) if each.name == "replay dead"]
    assert [link[:2] for link in replay.links] == [
        (asked.trace_id, ids.buried(asked.run_id)),
        (asked.trace_id, ids.dispatched(asked.run_id)),
    ]
    assert not [text for text in fleet.collector.texts if b"the-card-number" in text]


def _replay(fleet: Fleet, run_id: str) -> str:
    """``ledgerq dlq replay`` in a process of its own, once the read model knows the letter."""
    environment = {
        **os.environ,
        "LEDGERQ_BROKER_URL": fleet.settings.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": fleet.settings.database_url.get_secret_value(),
        "LEDGERQ_TRACING_ENDPOINT": fleet.collector.endpoint,
    }
    command = ["dlq", "replay", "--run", run_id, "--reason", "test", "--json"]

    def replayed() -> str:
        done = subprocess.run(
            (sys.executable, "-m", "infra.cli", *command), env=environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["replayed"][run_id])

    return eventually(replayed, seconds=60)


def test_an_attempt_that_comes_much_later_begins_a_trace_that_is_linked(fleet: Fleet) -> None:
    asked = fleet.request("traced.patient")
    root = ids.retried(asked.run_id, 2, is_sampled=True)
    (begun,) = fleet.collector.until(lambda span: span.trace_id == root.trace_id)
    assert (begun.name, begun.parent, begun.span_id) == ("publish tasks.normal", "", root.span_id)
    (first, *_) = fleet.collector.until(lambda span: span.span_id == ids.attempted(asked.run_id, 1))
    assert (asked.trace_id, first.span_id) in [link[:2] for link in begun.links]
    assert first.marks["task.retry_scheduled"]["ledgerq.retry.trace_id"] == root.trace_id


def test_an_attempt_whose_child_is_killed_ends_as_an_error_and_the_next_child_traces_on(fleet: Fleet) -> None:
    """Over gRPC, which many a process does not survive that forks."""
    asked = fleet.request("traced.deadly", tier="high")
    (lost,) = fleet.grpc.until(lambda span: span.span_id == ids.attempted(asked.run_id, 1))
    assert (lost.says, lost.attributes["ledgerq.task.outcome"]) == (
        "CONSUMER process tasks.high !WorkerLostError",
        "task.lost",
    )
    after = fleet.request("traced.looks", tier="high")
    (by_hand,) = fleet.grpc.until(lambda span: span.name == "by hand" and span.trace_id == after.trace_id)
    assert by_hand.parent == ids.attempted(after.run_id, 1)


def test_what_a_task_or_a_client_sends_with_apply_async_hangs_under_it(fleet: Fleet) -> None:
    asked = fleet.request("traced.sends")
    (sent,) = fleet.collector.until(
        lambda span: span.parent == ids.attempted(asked.run_id, 1) and span.kind == "PRODUCER"
    )
    (done,) = fleet.collector.until(lambda span: span.parent == sent.span_id and span.name == "process tasks.normal")
    assert (done.trace_id, done.attributes["ledgerq.task.name"]) == (asked.trace_id, "traced.looks")


def test_a_foreign_senders_trace_goes_on(fleet: Fleet) -> None:
    sent, told = secrets.token_hex(16), secrets.token_hex(16)
    span = secrets.token_hex(8)
    run_id = str(uuid4())
    headers = {"id": run_id, "task": "traced.looks", "root_id": run_id, "lang": "py"}
    fleet.send(
        "tasks", "tasks.normal", b"[[], {}, {}]", {**headers, "traceparent": f"00-{sent}-{span}-01"}, "application/json"
    )
    data = {"task": "traced.looks", "run_id": str(uuid4())}
    event = encode_structured(new_event("task.requested", source="/foreign", data=data))
    fleet.send("events", "task.requested", event.body, {"traceparent": f"00-{told}-{span}-01"}, event.content_type)
    looked = ["  INTERNAL append tasks", "  INTERNAL append tasks", "  INTERNAL by hand", "    CLIENT select"]
    fleet.collector.until_tree(sent, ["CONSUMER process tasks.normal", *looked])
    taken = ["CONSUMER process ingest", "  INTERNAL append tasks", "    PRODUCER publish tasks.normal"]
    taken += [
        "      INTERNAL append tasks",
        "      CONSUMER process tasks.normal",
        *(f"      {line}" for line in looked),
    ]
    fleet.collector.until_tree(told, taken)
    assert {each.parent for trace in (sent, told) for each in roots(fleet.collector, trace)} == {span}


def test_what_ingest_does_not_take_in_is_an_error_of_its_senders_trace(fleet: Fleet) -> None:
    unreadable, span = secrets.token_hex(16), secrets.token_hex(8)
    fleet.send("events", "task.requested", b"{", {"traceparent": f"00-{unreadable}-{span}-01"}, STRUCTURED)
    fleet.collector.until_tree(unreadable, ["CONSUMER process ingest !unreadable"])
    asked = fleet.request("traced.looks")
    again = fleet.request("traced.looks", run_id=asked.run_id)
    fleet.collector.until_tree(
        again.trace_id, ["PRODUCER publish events", "  CONSUMER process ingest !RunAlreadyRequested"]
    )


def roots(collector: Collector, trace_id: str) -> list[Got]:
    spans = collector.trace(trace_id)
    return [span for span in spans if span.parent not in {each.span_id for each in spans}]


def test_a_story_that_is_not_sampled_sends_nothing_and_is_executed_all_the_same(fleet: Fleet) -> None:
    silent = fleet.request("traced.looks", correlation_id=sampled(wanted=False))
    asked = fleet.request("traced.looks")
    fleet.collector.until(lambda span: span.span_id == ids.attempted(asked.run_id, 1))
    run = run_stream(silent.run_id)
    with EventStore(fleet.settings.database_url.get_secret_value(), name="test") as store:
        eventually(lambda: [event.name for event in store.load(Log.TASKS, [run])[run]][-1:] == ["task.succeeded"])
    assert fleet.collector.trace(silent.trace_id) == []
