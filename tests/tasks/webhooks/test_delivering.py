"""An event reaches who wants it: signed, once per id, later where the receiver is away, and never in a circle."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from uuid import uuid4

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier

from domain.task_run import task_event
from domain.webhook import WebhookState
from domain.webhook_delivery import DeliveryFailed, DeliverySucceeded, DeliveryWithheld
from domain.webhook_events import DisabledBecause, WebhookBeganFailing, WebhookDisabled, WebhookRecovered
from infra.event_store import Log, caused
from infra.webhooks.secrets import endpoint_secret
from tasks.webhooks.reading import endpoint
from tests.tasks.webhooks.desk import Desk
from tests.tasks.webhooks.receiver import Answer, Receiver, says


def test_an_event_arrives_as_a_cloudevent_whose_signature_the_receiver_s_library_accepts(
    desk: Desk, receiver: Receiver
) -> None:
    desk.register(receiver.url)
    license_id = desk.issue_a_license()
    (run,) = desk.dispatch()
    assert desk.deliver(run).said == "delivered"
    (got,) = receiver.received
    told = Verifier(endpoint_secret(desk.settings, desk.name, 1)).verify(got.body, got.headers)
    assert (told["type"], told["subject"], told["payloadversion"]) == ("license.issued", f"license-{license_id}", "1")
    assert got.headers["content-type"] == "application/cloudevents+json"
    (arrived,) = desk.deliveries()
    assert isinstance(arrived, DeliverySucceeded)
    assert (arrived.status_code, arrived.originator_id) == (204, f"webhook_delivery-{got.headers['webhook-id']}")


def test_a_receiver_that_was_away_gets_it_later_under_the_same_id_and_once(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    (run,) = desk.dispatch()
    receiver.answer = says(503)
    first, second = desk.deliver(run, 1), desk.deliver(run, 2)
    receiver.answer = says(200)
    assert [first.wait_seconds, second.wait_seconds] == [5, 300]
    assert [desk.deliver(run, number).said for number in (3, 4)] == ["delivered", "delivered before"]
    assert len(receiver.received) == 3
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert [type(each).__name__ for each in desk.told("webhook.")][1:] == ["WebhookBeganFailing", "WebhookRecovered"]


def test_where_every_attempt_failed_the_delivery_is_given_up_and_can_be_seen(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    (run,) = desk.dispatch()
    receiver.answer = says(500)
    assert [desk.deliver(run, number).wait_seconds for number in (1, 2, 3)] == [5, 300, None]
    last = desk.deliveries()[-1]
    assert isinstance(last, DeliveryFailed)
    assert (last.attempt, last.next_attempt_at, last.status_code) == (3, None, 500)


def test_what_the_receiver_asks_for_by_retry_after_is_waited_for_up_to_a_day(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    for asked, waits in (("60", 60), ("1", 5), ("99999999", 86_400), ("soon", 5)):
        desk.issue_a_license()
        receiver.answer = says(429, Retry_After=asked)
        assert desk.deliver(desk.dispatch()[-1]).wait_seconds == waits


def test_an_endpoint_that_is_gone_is_disabled_and_nothing_more_is_asked_for(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    desk.issue_a_license()
    first, second = desk.dispatch()
    receiver.answer = says(410)
    assert desk.deliver(first).wait_seconds is None
    (disabled,) = [each for each in desk.told("webhook.disabled") if isinstance(each, WebhookDisabled)]
    assert disabled.because is DisabledBecause.GONE
    assert desk.deliver(second).said == "withheld"
    assert isinstance(desk.deliveries()[-1], DeliveryWithheld)
    desk.issue_a_license()
    assert len(desk.dispatch()) == 2
    assert len(receiver.received) == 1


def test_an_endpoint_where_nothing_arrived_for_days_is_disabled_by_the_next_failure(
    desk: Desk, receiver: Receiver
) -> None:
    desk.register(receiver.url)
    long_ago = datetime.now(UTC) - timedelta(days=5, minutes=1)
    desk.do(lambda known: known.failed("E: e", is_gone=False, disable_after=timedelta(days=5), at=long_ago))
    desk.issue_a_license()
    (run,) = desk.dispatch()
    receiver.answer = says(500)
    desk.deliver(run)
    assert endpoint(desk.store, desk.name).state is WebhookState.DISABLED
    (disabled,) = [each for each in desk.told("webhook.disabled") if isinstance(each, WebhookDisabled)]
    assert disabled.because is DisabledBecause.FAILING


def test_one_success_and_the_days_are_counted_anew(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    desk.do(lambda known: known.failed("E: e", is_gone=False, disable_after=timedelta(days=5), at=long_ago))
    for status in (200, 500):
        desk.issue_a_license()
        receiver.answer = says(status)
        desk.deliver(desk.dispatch()[-1])
    assert [type(each) for each in desk.told("webhook.")[1:]] == [WebhookBeganFailing, WebhookRecovered]
    assert endpoint(desk.store, desk.name).state is WebhookState.ACTIVE


def test_while_a_secret_is_rotated_both_verify_and_afterwards_the_new_one_alone(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.do(lambda known: known.rotate(previous_for=timedelta(days=1), at=datetime.now(UTC)))
    desk.issue_a_license()
    desk.deliver(desk.dispatch()[-1])
    old, new = (Verifier(endpoint_secret(desk.settings, desk.name, generation)) for generation in (1, 2))
    got = receiver.received[-1]
    assert old.verify(got.body, got.headers) == new.verify(got.body, got.headers)
    desk.do(lambda known: known.rotate(previous_for=timedelta(0), at=datetime.now(UTC)))
    desk.issue_a_license()
    desk.deliver(desk.dispatch()[-1])
    assert len(receiver.received[-1].headers["webhook-signature"].split()) == 1


def test_no_secret_is_in_the_log(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    desk.deliver(desk.dispatch()[-1])
    secret = endpoint_secret(desk.settings, desk.name, 1).removeprefix("whsec_")
    stored = [msgspec.json.encode(each.data()).decode() for each in desk.told("")]
    assert stored
    assert not any(secret in text for text in stored)


def test_what_a_delivery_brings_about_is_sent_to_nobody(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url, "*")
    desk.issue_a_license()
    before = len(desk.dispatch())
    receiver.answer = says(500)
    desk.deliver(desk.dispatch()[0])
    run_id = str(uuid4())
    own = [
        task_event(f"task.{name}", run_id, at=datetime.now(UTC), data={"task": "deliver_webhook", **data})
        for name, data in (
            ("started", {"attempt": 1}),
            ("failed", {"attempt": 1, "error_type": "E", "error": "e"}),
        )
    ]
    desk.store.append(Log.TASKS, caused(own, desk.cause()))
    assert [type(each) for each in desk.told("webhook.")][1:] == [WebhookBeganFailing]
    assert len(desk.dispatch()) == before


def test_an_event_is_delivered_once_however_often_dispatch_looks_at_it(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.register(receiver.url, "session.*", name="other")
    desk.issue_a_license()
    runs = desk.dispatch()
    with desk.store.transaction() as transaction:
        transaction.connection.execute("delete from event_store.checkpoints")
    assert desk.dispatch() == runs
    assert [run.kwargs["endpoint"] for run in runs] == [desk.name]


def test_an_endpoint_hears_of_nothing_that_was_recorded_before_it_or_while_it_was_disabled(
    desk: Desk, receiver: Receiver
) -> None:
    desk.issue_a_license()
    desk.register(receiver.url)
    assert desk.dispatch() == []
    desk.do(lambda known: known.disable(DisabledBecause.ASKED, at=datetime.now(UTC)))
    desk.issue_a_license()
    desk.do(lambda known: known.enable(at=datetime.now(UTC)))
    heard = desk.issue_a_license()
    assert [run.kwargs["event_stream"] for run in desk.dispatch()] == [f"license-{heard}"]


def test_a_redirect_is_not_followed(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    receiver.answer = says(302, Location=receiver.url)
    outcome = desk.deliver(desk.dispatch()[0])
    assert outcome.error is not None
    assert "302, a redirect" in outcome.error
    assert len(receiver.received) == 1


def test_of_a_redirect_s_answer_no_more_is_read_than_of_any(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    receiver.answer = pour_a_redirect
    desk.deliver(desk.dispatch()[0], webhook_timeout_seconds=4)
    (failed,) = desk.deliveries()
    assert isinstance(failed, DeliveryFailed)
    assert (failed.status_code, failed.duration_seconds < 2) == (302, True)


def test_a_test_is_sent_to_its_endpoint_whatever_that_wants_to_hear(desk: Desk, receiver: Receiver) -> None:
    desk.register(receiver.url, "session.lapsed")
    desk.register(receiver.url, "*", name="other")
    desk.do(lambda known: known.test(at=datetime.now(UTC)))
    runs = [run for run in desk.dispatch() if run.kwargs["event_stream"] == f"webhook-{desk.name}"]
    assert [(run.kwargs["endpoint"], run.kwargs["event_version"]) for run in runs] == [(desk.name, 2)]
    assert desk.deliver(runs[0]).said == "delivered"


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    _write_until_shut(handler, b"x", pause=0.1)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    _write_until_shut(handler, b"x", pause=0.1)


def pour(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    _write_until_shut(handler, b"x" * 65_536, pause=0)


def pour_a_redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("location", "https://elsewhere.example.org/")
    handler.end_headers()
    _write_until_shut(handler, b"x" * 65_536, pause=0)


def _write_until_shut(handler: BaseHTTPRequestHandler, piece: bytes, *, pause: float) -> None:
    end = time.monotonic() + 5
    try:
        while time.monotonic() < end:
            handler.wfile.write(piece)
            time.sleep(pause)
    except OSError:
        return


@pytest.mark.parametrize("answer", [drip, drip_headers, pour])
def test_a_server_that_does_not_come_to_an_end_takes_no_longer_than_is_allowed(
    answer: Answer, desk: Desk, receiver: Receiver
) -> None:
    desk.register(receiver.url)
    desk.issue_a_license()
    receiver.answer = answer
    began = datetime.now(UTC)
    desk.deliver(desk.dispatch()[0], webhook_timeout_seconds=0.5)
    assert datetime.now(UTC) - began < timedelta(seconds=2)
