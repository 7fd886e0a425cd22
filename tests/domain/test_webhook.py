"""Which endpoints and hooks there can be, and what may be done about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.hook import Hook, HookExists, HookUnknown
from domain.webhook import Webhook, WebhookExists, WebhookNotActive, WebhookUnchanged, WebhookUnknown
from domain.webhook_address import check_address
from domain.webhook_delivery import JITTER, delivery_id, next_delay_seconds
from domain.webhook_events import DisabledBecause, EndpointTerms, WebhookEvent
from domain.webhook_subscription import check_patterns, sendable_names, wanted_names

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TERMS = EndpointTerms(url="https://crm.example.org/in", patterns=("license.*",))


def known(*events: WebhookEvent) -> Webhook:
    webhook = Webhook("crm")
    for event in events:
        webhook = webhook.after(event, recorded_at=event.timestamp)
    return webhook


REGISTERED = Webhook("crm").register(TERMS, allows_http=False, at=NOW)


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.org/in",
        "ftp://crm.example.org/",
        "https://",
        "crm.example.org",
        "https://ada:pw@crm.example.org/",
        "https://crm.example.org/#part",
        "https://crm.example.org:22/",
        "https://crm.example.org:99999/",
        "https://crm.example.org/a b",
        "https://crm.example.org\\@evil.example.org/",
        "https://[::1/",
        "https://crm.example.org/" + "x" * 2000,
    ],
)
def test_an_address_that_no_endpoint_may_have_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        check_address(url, allows_http=False)


@pytest.mark.parametrize(
    "url", ["https://crm.example.org/in?x=1", "https://crm.example.org:8443/", "https://[2001::1]/"]
)
def test_other_addresses_are_taken(url: str) -> None:
    check_address(url, allows_http=False)


@pytest.mark.parametrize(
    "pattern", ["licence.*", "delivery.failed", "session.heartbeats_received", "", "license.[a-z]"]
)
def test_a_pattern_that_fits_nothing_that_is_sent_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"license\.\*"):
        check_patterns([pattern])


def test_a_star_is_everything_that_can_be_sent() -> None:
    assert wanted_names(["*"]) == set(sendable_names())
    assert "webhook.disabled" in wanted_names(["webhook.*"])
    assert wanted_names(["*"]).isdisjoint({"webhook.began_failing", "webhook.recovered", "webhook.tested"})
    assert not any(name.startswith("delivery.") for name in sendable_names())


def test_what_contradicts_the_state_is_refused() -> None:
    active = known(REGISTERED)
    disabled = active.after(active.disable(DisabledBecause.ASKED, at=NOW), recorded_at=NOW)
    with pytest.raises(WebhookExists):
        active.register(TERMS, allows_http=False, at=NOW)
    with pytest.raises(WebhookUnchanged):
        active.change(TERMS, allows_http=False, at=NOW)
    with pytest.raises(WebhookUnchanged):
        active.enable(at=NOW)
    with pytest.raises(WebhookNotActive):
        disabled.test(at=NOW)
    with pytest.raises(WebhookUnknown):
        Webhook("nobody").rotate(previous_for=timedelta(0), at=NOW)


def test_registered_again_an_endpoint_has_another_secret_and_the_old_one_is_worth_nothing() -> None:
    active = known(REGISTERED)
    removed = active.after(active.remove(at=NOW), recorded_at=NOW)
    again = removed.after(removed.register(TERMS, allows_http=False, at=NOW), recorded_at=NOW)
    assert (active.generations(at=NOW), again.generations(at=NOW)) == ((1,), (2,))


def test_an_endpoint_that_fails_now_and_then_begins_to_once_in_a_while() -> None:
    webhook, told = known(REGISTERED), []
    for minutes in range(30):
        at = NOW + timedelta(minutes=minutes)
        failed = webhook.failed("E: e", is_gone=False, disable_after=timedelta(days=5), at=at)
        webhook = webhook if failed is None else webhook.after(failed, recorded_at=at)
        arrived = webhook.arrived(at=at + timedelta(seconds=30))
        webhook = webhook if arrived is None else webhook.after(arrived, recorded_at=at)
        told += [(minutes, event.name) for event in (failed, arrived) if event is not None]
    assert told == [(n, f"webhook.{name}") for n in (0, 11, 22) for name in ("began_failing", "recovered")]
    assert webhook.failed("E: e", is_gone=True, disable_after=timedelta(days=5), at=at) is not None


def test_waits_grow_by_the_schedule_and_end_with_it() -> None:
    waits = [
        next_delay_seconds(failed, (5.0, 300.0), retry_after_seconds=None, chance=chance)
        for failed, chance in ((1, 0.0), (2, 0.5), (3, 0.0))
    ]
    assert waits == [5.0, 300.0 * (1 + JITTER / 2), None]
    asked = next_delay_seconds(1, (5.0,), retry_after_seconds=float("1e12"), chance=1)
    assert asked is not None
    assert asked < timedelta(hours=36).total_seconds()


def test_a_delivery_has_one_id_whenever_it_is_made() -> None:
    event = "91cd96cf-237a-56f8-b835-b1df82c5b0f6"
    assert str(delivery_id(event, "crm")) == "70b83076-468f-5b44-bb96-15c2eccd0e0b"
    assert delivery_id(event, "crm") != delivery_id(event, "other")


def test_a_hook_is_declared_once_and_a_call_is_known_by_hook_and_id() -> None:
    hook = Hook("billing")
    declared = hook.after(hook.declare("book", at=NOW))
    with pytest.raises(HookExists):
        declared.declare("book", at=NOW)
    with pytest.raises(HookUnknown):
        declared.after(declared.remove(at=NOW)).terms()
    with pytest.raises(ValueError, match="no name of an argument"):
        hook.declare("book", at=NOW, kwargs={"payload": 1})
    assert hook.call_id("msg_1") == Hook("billing").call_id("msg_1") != Hook("other").call_id("msg_1")
