"""A private RabbitMQ node: ours alone, and kept where it was killed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pika
import pytest

from infra.local.programs import find_rabbitmq
from infra.local.rabbitmq import RabbitMQNode

PASSWORD = "se cr@t/:?#"  # noqa: S105


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    directory = tmp_path_factory.mktemp("node")
    made = RabbitMQNode(directory, mark=directory, password=PASSWORD, programs=find_rabbitmq())
    made.start()
    yield made
    made.kill()


def test_nobody_gets_in_as_guest(node: RabbitMQNode) -> None:
    login = pika.PlainCredentials("guest", "guest")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", node.ports["amqp"], credentials=login))


def test_what_could_not_leave_the_delay_ladder_is_tried_again_within_half_a_minute(node: RabbitMQNode) -> None:
    asked = "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout)."
    said = subprocess.run(
        [str(node.programs.control), "--quiet", "eval", asked],
        env=node.environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.strip() == "{ok,30000}"


def test_what_was_confirmed_outlives_a_kill(node: RabbitMQNode) -> None:
    url = node.broker_url
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments={"x-max-priority": 10})
        channel.basic_publish("", "kept", b"here", pika.BasicProperties(delivery_mode=2, priority=5))
    # A declaration reaches the disk a moment after it was answered (Mnesia's log), unlike a confirmed message.
    sync = [str(node.programs.control), "--quiet", "eval", "mnesia:sync_log()."]
    subprocess.run(sync, env=node.environment, check=False, capture_output=True)
    node.kill()
    node.start(keep_data=True)
    assert node.broker_url == url
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        assert connection.channel().basic_get("kept")[2] == b"here"


def test_data_of_another_version_are_not_used(node: RabbitMQNode) -> None:
    assert node.has_usable_data()
    (node.directory / "version").write_text("3.7.0")
    assert not node.has_usable_data()
