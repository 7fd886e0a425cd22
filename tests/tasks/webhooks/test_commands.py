"""What people do about endpoints and hooks, and see of deliveries, at the command line."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook as Verifier

from infra import database
from infra.cli import ledgerq
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.runner import Runner
from tests.tasks.webhooks.desk import SETTINGS, Desk
from tests.tasks.webhooks.receiver import Receiver, says


@pytest.fixture(autouse=True)
def environment(fresh_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())
    monkeypatch.setenv("LEDGERQ_WEBHOOK_KEY", SETTINGS["webhook_key"].get_secret_value())
    monkeypatch.setenv("LEDGERQ_WEBHOOK_HTTP_ALLOWED", "true")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(ledgerq, ["webhook", *arguments])


def did(*arguments: str) -> str:
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def told(*arguments: str) -> Any:
    return msgspec.json.decode(did(*arguments, "--json"))


def refused(*arguments: str) -> str:
    done = call(*arguments)
    assert done.exit_code in {1, 2}, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return re.sub(r"[\s│]+", " ", done.output)


def project(own_desk: Desk) -> None:
    """The projector's part."""
    engine = database.engine(own_desk.settings, name="test")
    with engine.connect() as connection:
        for name in ("webhook_endpoints", "webhook_deliveries"):
            runner = Runner(PROJECTIONS[name], own_desk.store, batch_events=100)
            runner.recall(connection)
            while runner.step(connection):
                pass
    engine.dispose()


def test_an_endpoint_lives_from_its_registration_to_its_removal_as_people_say(
    own_desk: Desk, receiver: Receiver
) -> None:
    secret = did("add", "crm", "--url", receiver.url, "--event", "license.*", "--reason", "ordered").strip()
    run_id = did("test", "crm").strip()
    (run,) = own_desk.dispatch()
    assert run.originator_id == f"task_run-{run_id}"
    own_desk.deliver(run)
    (got,) = receiver.received
    assert Verifier(secret).verify(got.body, got.headers)["type"] == "webhook.tested"

    did("change", "crm", "--event", "session.*", "--event", "license.revoked")
    assert did("rotate", "crm").strip() not in {secret, ""}
    did("disable", "crm", "--reason", "stocktaking")
    assert "disabled" in did("list")
    shown = told("show", "crm")
    assert (shown["state"], shown["patterns"]) == ("disabled", ["session.*", "license.revoked"])
    assert [each["said"] for each in shown["history"]][::4] == ["ordered", "asked, stocktaking"]
    did("enable", "crm")
    did("remove", "crm")
    assert did("list") == ""
    assert "no such endpoint" in refused("enable", "crm")


def test_what_cannot_be_is_refused_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "licence.*" in refused("add", "crm", "--url", "https://example.org/", "--event", "licence.*")
    assert "1 to 50 patterns" in refused("add", "crm", "--url", "https://example.org/")
    assert "allowed is https://" in refused("add", "crm", "--url", "ftp://example.org/", "--event", "*")
    assert "no name of an endpoint" in refused("add", "a b", "--url", "https://example.org/", "--event", "*")
    assert "no such endpoint" in refused("show", "nobody")
    assert "DELIVERIES" in refused("redrive")
    assert "no task 'unheard_of'" in refused("receive", "add", "billing", "--task", "unheard_of")
    assert "no such hook" in refused("receive", "show", "billing")
    monkeypatch.delenv("LEDGERQ_WEBHOOK_KEY")
    assert "LEDGERQ_WEBHOOK_KEY" in refused("add", "crm", "--url", "https://example.org/", "--event", "*")
    assert told("list") == []


def test_all_that_an_endpoint_was_not_told_is_sent_again_and_nothing_else(own_desk: Desk, receiver: Receiver) -> None:
    did("add", "crm", "--url", receiver.url, "--event", "license.*")
    for status in (200, 404, 404):
        own_desk.issue_a_license()
        receiver.answer = says(status)
        run = own_desk.dispatch()[-1]
        for number in (1, 2, 3):
            own_desk.deliver(run, number)
    project(own_desk)
    assert [each["outcome"] for each in told("deliveries")] == ["failed", "failed", "succeeded"]
    assert len(told("deliveries", "--outcome", "failed", "--since", "1h")) == 2
    assert "404" in did("deliveries", "--endpoint", "crm")

    assert (
        did("redrive", "--endpoint", "crm", "--since", "1h", "--reason", "repaired") == "2 deliveries asked for again\n"
    )
    assert did("redrive", "--endpoint", "crm") == "0 deliveries asked for again\n"  # they are under way
    receiver.answer = says(200)
    before = len(receiver.received)
    again = own_desk.dispatch()[3:]
    assert [own_desk.deliver(run).said for run in again] == ["delivered", "delivered"]
    ids = [got.headers["webhook-id"] for got in receiver.received]
    assert set(ids[before:]) == set(ids[1:before])
    project(own_desk)
    assert told("deliveries", "--outcome", "failed") == []

    named = told("deliveries")[-1]["delivery_id"]
    assert did("redrive", named) == "1 deliveries asked for again\n"
    assert len(own_desk.dispatch()) == 6


def test_a_hook_is_declared_shown_rotated_and_removed() -> None:
    secret = did("receive", "add", "billing", "--task", "sample.work", "--argument", "paid", "--kwargs", '{"x": 1}')
    assert secret.startswith("whsec_")
    shown = told("receive", "show", "billing")
    assert (shown["path"], shown["argument"], shown["kwargs"]) == ("/hooks/billing", "paid", {"x": 1})
    assert did("receive", "rotate", "billing") != secret
    assert [each["generation"] for each in told("receive", "list")] == [2]
    did("receive", "remove", "billing")
    assert told("receive", "list") == []
