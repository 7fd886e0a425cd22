from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.broker.commands import emit, topology
from infra.broker.definitions import definitions
from infra.broker.explaining import guarantees_of
from infra.broker.topology import TOPOLOGY
from infra.cloudevents import CloudEvent, decode
from infra.settings import Settings
from tests.infra.broker.virtual_host import VirtualHost

STARTED = ["session.started", "--data", '{"session_id":"s-1","license_id":"l-1"}']


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_BROKER_URL", settings.broker_url.get_secret_value())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(emit, arguments)


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
def test_emit_says_what_was_confirmed(virtual_host: VirtualHost, mode: str) -> None:
    done = run(*STARTED, "--subject", "s-1", "--source", "/shell", "--time", "2026-03-01T12:00:00Z", "--mode", mode)

    assert done.exit_code == 0, done.output
    taken = virtual_host.take("ingest")
    [event] = decode(taken.properties.content_type, taken.properties.headers, taken.body)
    assert isinstance(event, CloudEvent)
    assert (event.type, event.subject, event.source) == ("session.started", "s-1", "/shell")
    assert "confirmed: 1 session.started" in done.output
    assert str(event.unique_id) in done.output


def test_emit_takes_a_file_of_events(virtual_host: VirtualHost, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"type":"session.heartbeat","data":{"session_id":"s-1"}}\n' * 3)

    done = run("--file", str(file), "--mode", "batch")

    assert done.exit_code == 0, done.output
    assert "events: 3, messages: 1" in done.output
    taken = virtual_host.take("ingest")
    assert len(decode(taken.properties.content_type, taken.properties.headers, taken.body)) == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["session.started", "--data", '{"session_id":"s-1"}'], "license_id"),
        (["session.begun"], "is none of"),
        (["session.started", "--data", "{"], "--data"),
        ([*STARTED, "--time", "noon"], "RFC 3339"),
        ([*STARTED, "--source", ""], "attribute source"),
    ],
)
def test_what_breaks_the_contract_is_not_sent(virtual_host: VirtualHost, arguments: list[str], reason: str) -> None:
    done = run(*arguments)

    assert done.exit_code == 1
    assert "nothing was sent" in done.output
    assert reason in done.output
    assert virtual_host.depth("ingest") == 0


def test_emit_wants_a_type_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()

    assert run().exit_code == 2
    assert run(*STARTED, "--file", str(tmp_path / "f")).exit_code == 2


def test_an_unroutable_event_is_an_error(virtual_host: VirtualHost) -> None:
    virtual_host.channel.queue_unbind("ingest", "events", "#")

    done = run(*STARTED)

    assert done.exit_code == 1
    assert "no queue is bound" in done.output


def test_a_broker_that_is_away_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_BROKER_URL", "amqp://guest:guest@127.0.0.1:1/nowhere")

    for command, arguments in ((emit, STARTED), (topology, ["apply"])):
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 1
        assert "cannot be reached" in done.output
        assert "Traceback" not in done.output


def test_topology_apply_says_what_stands(virtual_host: VirtualHost) -> None:
    virtual_host.channel.queue_delete("dead")

    done = CliRunner().invoke(topology, ["apply"])

    assert done.exit_code == 0, done.output
    assert f"{len(TOPOLOGY.queues)} queues" in done.output
    assert virtual_host.depth("dead") == 0


def test_topology_apply_names_what_stands_there_otherwise(virtual_host: VirtualHost) -> None:
    virtual_host.channel.queue_delete("dead")
    virtual_host.channel.queue_declare("dead", durable=True)
    try:
        done = CliRunner().invoke(topology, ["apply"])
    finally:
        virtual_host.channel.queue_delete("dead")

    assert done.exit_code == 1
    assert "queue dead has" in done.output


def test_topology_show_says_what_every_queue_is_for() -> None:
    done = CliRunner(env={"COLUMNS": "250"}).invoke(topology, ["show"])

    assert done.exit_code == 0, done.output
    for part in (*TOPOLOGY.queues, *TOPOLOGY.exchanges):
        assert part.name in done.output
        assert part.purpose in done.output


def test_topology_export_prints_the_definitions() -> None:
    done = CliRunner().invoke(topology, ["export"])

    assert json.loads(done.output) == definitions()


def explained(*arguments: str) -> Result:
    return CliRunner().invoke(topology, ["explain", *arguments])


def test_the_guarantees_of_the_connected_broker_are_explained(virtual_host: VirtualHost) -> None:
    version = virtual_host.api("GET", "overview")["rabbitmq_version"]
    done = explained()
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"On RabbitMQ {version}, which is connected:")


@pytest.mark.parametrize(
    ("version", "holds", "otherwise"),
    [
        ("3.10", "consumer timeout: broker-wide (consumer_timeout", "from 4.3 on: never looked at"),
        ("3.13.7", "consumer timeout: broker-wide, or by x-consumer-timeout", "before 3.12: broker-wide (consumer"),
        (
            "4.2",
            "queues of Celery's own: transient queues that are not exclusive are allowed",
            "from 4.3 on: transient",
        ),
        ("4.3.6", "consumer timeout: never looked at", "from 3.12 on, before 4.3: broker-wide, or"),
        (
            "5.0",
            "dead-lettering: at least once; the feature flag it needs is always on",
            "before 4.0: at least once, if",
        ),
    ],
)
def test_what_holds_for_a_version_stands_before_what_differs(version: str, holds: str, otherwise: str) -> None:
    done = explained("--version", version)
    assert done.exit_code == 0, done.output
    assert f"\n  {holds}" in done.output
    assert f"\n    {otherwise}" in done.output


@pytest.mark.parametrize("version", ["3.9.29", "four", "4"])
def test_a_version_that_nothing_is_known_of_is_refused(version: str) -> None:
    done = explained("--version", version)
    assert done.exit_code == 2
    assert "allowed is 3.10 or later" in done.output


def test_something_is_guaranteed_of_every_exchange_and_every_queue() -> None:
    parts = [("exchange", exchange.name) for exchange in TOPOLOGY.exchanges]
    parts += [("queue", queue.name) for queue in TOPOLOGY.queues]
    assert [part for part in parts if not guarantees_of(*part)] == []
