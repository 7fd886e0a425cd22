"""How the broker is, where the monitor's user may not ask for every queue (RabbitMQ from 4.2.7 and 4.3.1 on)."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from infra.broker.depths import QueueDepths, QueueState
from infra.broker.errors import BrokerRefusedError
from infra.broker.management import ManagementApi
from infra.health.broker import CONSUMED, KEPT, AlarmSight, BrokerSight
from infra.health.component import Status
from infra.settings import Settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues asked for, of a broker that refuses to tell of `dead` and of no other."""
    queues: list[str] = []

    def state(depths: QueueDepths, queue: str) -> QueueState:
        del depths
        queues.append(queue)
        if queue == "dead":
            raise BrokerRefusedError("access to queue 'dead' refused")
        return QueueState(0, 1)

    monkeypatch.setattr(QueueDepths, "state", state)
    return queues


def test_a_queue_that_the_user_may_not_ask_for_is_left_out_and_all_is_well(asked: list[str]) -> None:
    sight = BrokerSight(Settings())
    for _ in range(2):
        components = sight.look()
        assert {name: each.status for name, each in components.items()} == {
            "broker": Status.HEALTHY,
            "queues": Status.HEALTHY,
        }
        assert components["queues"].facts["queues"].keys() == {*CONSUMED, *KEPT} - {"dead"}
    assert asked.count("dead") == 1


def test_alarms_that_the_user_may_not_ask_for_are_not_called_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(api: ManagementApi, path: str) -> None:
        del api
        raise BrokerRefusedError(f"GET {path}: 401")

    monkeypatch.setattr(ManagementApi, "get", get)
    alarms = AlarmSight(Settings(management_url=SecretStr("http://127.0.0.1:1"))).look()["alarms"]
    assert (alarms.status, alarms.detail) == (Status.DEGRADED, "not known: the user has no tag `monitoring`")
