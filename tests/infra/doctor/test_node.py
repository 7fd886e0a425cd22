"""A broker that is ill itself: one of our own, for what must not be done to others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from infra.broker import topology
from infra.broker.management import ManagementApi
from infra.doctor.examination import Expected, examine
from infra.local.programs import find_rabbitmq
from infra.local.rabbitmq import RabbitMQNode
from infra.settings import Settings
from tests.infra.doctor.ward import SECONDS
from tests.matrix.controlling import control, memory_alarm
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

NOTHING_OF_TASKS = Expected(limits={}, prefetch_per_child=1, prefetch_ahead=0)
OLD_FLAGS = "quorum_queue,implicit_default_bindings,virtual_host_metadata,maintenance_mode_status,user_limits"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    """Like one that was upgraded from 3.8: it lacks a feature flag."""
    directory = tmp_path_factory.mktemp("node")
    made = RabbitMQNode(directory, mark=directory, password="ill", programs=find_rabbitmq())  # noqa: S106
    made.environment["RABBITMQ_FEATURE_FLAGS"] = OLD_FLAGS
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def ill(servers: Settings, node: RabbitMQNode) -> Settings:
    urls = {"broker_url": SecretStr(node.broker_url), "management_url": SecretStr(node.management_url)}
    settings = servers.model_copy(update=urls)
    topology.apply(settings)
    return settings


def wheres(settings: Settings, check: str) -> list[str]:
    """Where a check finds something."""
    report = examine(settings, NOTHING_OF_TASKS, clock=lambda: datetime.now(UTC))
    assert report.unseen == []
    return [finding.where for finding in report.findings if finding.check == check]


def test_a_feature_flag_that_is_needed_is_named_until_it_is_enabled(ill: Settings, node: RabbitMQNode) -> None:
    assert wheres(ill, "feature_flag") == ["feature flag stream_queue"]
    control(node, "enable_feature_flag", "stream_queue")
    assert wheres(ill, "feature_flag") == []


def test_an_alarm_is_named_as_long_as_it_lasts(ill: Settings, node: RabbitMQNode) -> None:
    with memory_alarm(node):
        assert eventually(lambda: wheres(ill, "alarm"), seconds=SECONDS) == ["node ledgerq@localhost"]
    eventually(lambda: not wheres(ill, "alarm"), seconds=SECONDS)


def test_the_user_that_everybody_knows_is_named(ill: Settings) -> None:
    assert wheres(ill, "default_user") == []
    ManagementApi(ill).call("PUT", "users/guest", {"password": "guest", "tags": "administrator"})
    assert wheres(ill, "default_user") == ["user guest"]


def test_what_a_user_may_not_ask_for_is_said_and_keeps_nothing_else_from_being_looked_at(ill: Settings) -> None:
    api = ManagementApi(ill)
    api.call("PUT", "users/watcher", {"password": "watcher", "tags": "monitoring"})
    api.call("PUT", f"{api.of_vhost('permissions', 'watcher')}", {"configure": "", "write": "", "read": ""})
    bare = ill.management_url
    assert bare is not None
    login = bare.get_secret_value().replace("://", "://watcher:watcher@")
    watched = ill.model_copy(update={"management_url": SecretStr(login)})
    report = examine(watched, NOTHING_OF_TASKS, clock=lambda: datetime.now(UTC))
    assert "users" in {unseen.check for unseen in report.unseen}
    assert report.findings == []
