"""From a fact in the log to a receiver that was away, and from a caller to the log, through real processes."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Signer

from domain.hook import Hook
from domain.webhook_delivery import DeliveryFailed, DeliverySucceeded
from infra.event_store import Log
from infra.settings import Settings
from infra.webhooks.secrets import hook_secret
from tests.infra.web.face import face
from tests.tasks.processes import Process
from tests.tasks.webhooks.desk import SETTINGS, Desk
from tests.tasks.webhooks.receiver import Receiver
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_receiver_that_is_down_gets_every_event_when_it_is_up_each_under_one_id(
    own_desk: Desk, fresh_platform: Settings, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = int(reserved.getsockname()[1])
    own_desk.register(f"http://127.0.0.1:{port}/hook")
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
        told = {f"license-{own_desk.issue_a_license()}" for _ in range(3)}
        eventually(lambda: {each.event_stream for each in own_desk.deliveries()} == told, seconds=60)
        assert {type(each) for each in own_desk.deliveries()} == {DeliveryFailed}
        receiver = stack.enter_context(Receiver(port))
        eventually(lambda: sum(isinstance(each, DeliverySucceeded) for each in own_desk.deliveries()) == 3, seconds=60)
    assert len({got.headers["webhook-id"] for got in receiver.received}) == len(receiver.received) == 3


def test_a_hook_is_called_without_a_token_and_answered_once_its_run_is_stored(
    own_desk: Desk, fresh_platform: Settings, tmp_path: Path
) -> None:
    own_desk.append(Hook("billing").declare("book_payment", at=datetime.now(UTC)))
    body, now = json.dumps({"amount": 7}), datetime.now(UTC)
    signature = Signer(hook_secret(own_desk.settings, "billing", 1)).sign("msg_1", now, body)
    stamp = str(int(now.timestamp()))
    headers = {"webhook_id": "msg_1", "webhook_timestamp": stamp, "webhook_signature": signature}
    key = SETTINGS["webhook_key"].get_secret_value()
    with face(fresh_platform, tmp_path, LEDGERQ_WEBHOOK_KEY=key) as served:
        asked = [served.post("/hooks/billing", body.encode(), role=None, **headers) for _ in range(2)]
        other = served.post("/hooks/billing", b"{}", role=None, **headers)
    assert [(each.status, each.value["repeat"]) for each in asked] == [(202, False), (202, True)]
    assert other.status == 401
    assert other.value["request_id"] == other.headers["x-request-id"]
    (run,) = own_desk.store.load(Log.TASKS, [f"task_run-{asked[0].value['run_id']}"]).popitem()[1]
    assert run.data()["kwargs"] == {"payload": {"amount": 7}}
