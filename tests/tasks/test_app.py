import json
from typing import Any

import pika
import pytest
from celery.exceptions import QueueNotFound
from kombu.exceptions import OperationalError

from domain.tier import Tier
from infra.settings import Settings
from tasks.app import app, configuration, task_modules
from tasks.worker.retry import DEFAULT_RETRY_POLICY
from tests.tasks.worker import lab_tasks


class Client:
    """A client of the platform, and what it published: properties and body."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, task: Any, **options: Any) -> Any:
        with app.connection_for_write(self.url) as connection:
            return task.apply_async(connection=connection, **options)

    def sent(self, tier: Tier) -> tuple[Any, Any]:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            _method, properties, body = connection.channel().basic_get(tier.queue, auto_ack=True)
        return properties, json.loads(body)


@pytest.fixture
def client(platform: Settings) -> Client:
    return Client(platform.broker_url.get_secret_value())


@pytest.mark.system
def test_a_client_names_queue_and_priority(client: Client) -> None:
    result = client.send(lab_tasks.add, args=(1, 2), queue="tasks.high", priority=7)
    properties, body = client.sent(Tier.HIGH)
    assert properties.headers["id"] == result.id
    assert properties.headers["task"] == "lab.add"
    assert (properties.priority, properties.delivery_mode, properties.content_type) == (7, 2, "application/json")
    assert body[:2] == [[1, 2], {}]


@pytest.mark.system
def test_a_client_that_names_neither_gets_the_middle_of_the_normal_tier(client: Client) -> None:
    client.send(lab_tasks.shared, kwargs={"x": 1})
    properties, _body = client.sent(Tier.NORMAL)
    assert properties.priority == Tier.NORMAL.default_priority


@pytest.mark.system
def test_a_priority_above_the_tiers_is_its_highest(client: Client) -> None:
    client.send(lab_tasks.add, args=(1, 2), queue="tasks.low", priority=9)
    properties, _body = client.sent(Tier.LOW)
    assert properties.priority == Tier.LOW.max_priority


@pytest.mark.system
def test_a_queue_that_is_not_there_is_an_error_and_not_a_loss(client: Client) -> None:
    with pytest.raises(QueueNotFound):
        client.send(lab_tasks.add, args=(1, 2), queue="tasks.urgent")


@pytest.mark.system
def test_a_message_that_reaches_no_queue_is_an_error_and_not_a_loss(client: Client) -> None:
    with pytest.raises(OperationalError):
        client.send(lab_tasks.add, args=(1, 2), exchange="tasks", routing_key="tasks.urgent", retry=False)


def test_nothing_is_declared_and_nothing_but_json_is_accepted() -> None:
    made = configuration()
    assert all(queue.no_declare and queue.exchange.no_declare for queue in made["task_queues"])
    assert made["accept_content"] == ["json"]


def test_every_module_of_the_catalog_is_known_to_workers() -> None:
    assert "tasks.catalog.sessions" in task_modules()


def test_a_task_of_ours_has_a_policy_that_celery_counts_by_too() -> None:
    ours, stock = app.tasks["lab.refused"], app.tasks["lab.add"]
    assert ours.retry_policy.max_retries == ours.max_retries == lab_tasks.SOON.max_retries
    assert not hasattr(stock, "retry_policy")
    assert DEFAULT_RETRY_POLICY.max_retries == 3
