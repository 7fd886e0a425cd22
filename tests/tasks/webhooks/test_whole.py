"""From a fact in the log to a receiver that was away, through a real dispatch and a real worker."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from domain.webhook_delivery import DeliveryFailed, DeliverySucceeded
from infra.settings import Settings
from tests.tasks.processes import Process
from tests.tasks.webhooks.desk import SETTINGS, Desk
from tests.tasks.webhooks.receiver import Receiver
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_receiver_that_is_down_gets_every_event_when_it_is_up_each_under_one_id(
    desk: Desk, fresh_platform: Settings, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = int(reserved.getsockname()[1])
    desk.register(f"http://127.0.0.1:{port}/hook")
    own = {
        "LEDGERQ_WEBHOOK_KEY": SETTINGS["webhook_key"].get_secret_value(),
        "LEDGERQ_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "LEDGERQ_WEBHOOK_HTTP_ALLOWED": "true",
        "LEDGERQ_WEBHOOK_RETRY_SECONDS": ",".join(["0.5"] * 40),
    }
    with ExitStack() as stack:
        for command in ("dispatch", "worker --tier low"):
            log = tmp_path / f"{command.split()[0]}.log"
            stack.enter_context(Process(command, fresh_platform, log=log, **own))
        told = {f"license-{desk.issue_a_license()}" for _ in range(3)}
        eventually(lambda: {each.event_stream for each in desk.deliveries()} == told, seconds=60)
        assert {type(each) for each in desk.deliveries()} == {DeliveryFailed}
        receiver = stack.enter_context(Receiver(port))
        eventually(lambda: sum(isinstance(each, DeliverySucceeded) for each in desk.deliveries()) == 3, seconds=60)
    assert len({got.headers["webhook-id"] for got in receiver.received}) == len(receiver.received) == 3
