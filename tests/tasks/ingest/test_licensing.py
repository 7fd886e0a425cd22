from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.refusal import Refusal
from domain.session import SessionLapsed
from infra.cloudevents import CloudEvent
from infra.event_store import NewEvent
from tasks.ingest import licensing
from tasks.ingest.reading import read
from tests.tasks.ingest.deliveries import NOW, delivery, told

ISSUED = told("license.issued", license_id="L1", valid_until="2030-01-01T00:00:00Z")
STARTED = told("session.started", session_id="S1", license_id="L1", host="h")
ENDED_JUST_NOW = told("license.issued", license_id="L1", valid_until=NOW, at=NOW - timedelta(days=9))


def decided(*events: CloudEvent, stored: Sequence[NewEvent] = ()) -> list[NewEvent]:
    """What is decided about messages in one batch, after ``stored``."""
    streams: dict[str, list[object]] = {}
    for new in stored:
        streams.setdefault(new.event.originator_id, []).append(new.event)
    known = licensing.Known(streams, default_patience=timedelta(seconds=360))  # type: ignore[arg-type]
    messages = read([delivery(event) for event in events], limit_bytes=10_000).told
    return [new for message in messages for new in licensing.decide(known, message)]


def names(events: list[NewEvent]) -> list[tuple[str, int]]:
    return [(new.event.TOPIC, new.event.originator_version) for new in events]


def test_every_message_about_a_license_or_a_session_becomes_its_fact() -> None:
    story = [
        ISSUED,
        STARTED,
        told("session.ended", session_id="S1", reason="home time"),
        told("license.renewed", license_id="L1", valid_until="2031-01-01T00:00:00Z"),
        told("license.suspended", license_id="L1", reason="unpaid"),
        told("license.reinstated", license_id="L1", reason="paid"),
        told("license.revoked", license_id="L1", reason="fraud"),
    ]
    assert names(decided(*story)) == [
        ("license.issued", 1),
        ("session.started", 1),
        ("session.ended", 2),
        ("license.renewed", 2),
        ("license.suspended", 3),
        ("license.reinstated", 4),
        ("license.revoked", 5),
    ]


def test_a_handler_for_each_type_and_no_other() -> None:
    assert set(licensing.HANDLERS) == {
        "session.started",
        "session.ended",
        *(f"license.{what}" for what in ("issued", "renewed", "suspended", "reinstated", "revoked")),
    }


def test_what_is_stored_counts_for_what_is_decided() -> None:
    before = decided(ISSUED, STARTED)
    assert names(decided(told("session.ended", session_id="S1"), stored=before)) == [("session.ended", 2)]


def test_facts_occurred_when_the_service_says_and_name_their_cause() -> None:
    event = told("license.issued", license_id="L1", valid_until="2030-01-01T00:00:00Z", at=NOW - timedelta(hours=5))
    (fact,) = decided(event)
    assert fact.event.timestamp == NOW - timedelta(hours=5)
    assert fact.metadata["causation_id"] == str(event.unique_id)


def test_a_session_neither_starts_nor_ends_after_we_were_told_so() -> None:
    far = NOW + timedelta(days=50 * 365)
    ahead = [
        told("session.started", session_id="S1", license_id="L1", at=far),
        told("session.ended", session_id="S1", at=far),
    ]
    _, started, ended = decided(ISSUED, *ahead)
    assert (started.event.timestamp, ended.event.timestamp) == (NOW, NOW)


def test_the_license_s_patience_counts_and_the_platform_s_where_it_has_none() -> None:
    own = told("license.issued", license_id="L2", valid_until="2030-01-01T00:00:00Z", patience_seconds=5)
    facts = decided(ISSUED, own, STARTED, told("session.started", session_id="S2", license_id="L2"))
    assert [fact.event.data()["patience_seconds"] for fact in facts[2:]] == [360.0, 5.0]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([told("session.ended", session_id="S1")], "SessionUnknown"),
        ([STARTED], "LicenseUnknown"),
        ([told("license.renewed", license_id="L1", valid_until="2031-01-01T00:00:00Z")], "LicenseUnknown"),
        ([ISSUED, told("license.issued", license_id="L1", valid_until="2030-01-01T00:00:00Z")], "LicenseAlreadyIssued"),
        ([ISSUED, STARTED, told("session.started", session_id="S1", license_id="L1")], "SessionAlreadyStarted"),
        ([ISSUED, told("license.suspended", license_id="L1", reason=""), STARTED], "LicenseNotActive"),
        ([ENDED_JUST_NOW, STARTED], "LicenseNotActive"),
        ([told("license.issued", license_id="L1", valid_until="2020-01-01T00:00:00Z")], "TermEnded"),
        ([ISSUED, told("license.reinstated", license_id="L1", reason="")], "LicenseNotSuspended"),
    ],
)
def test_what_the_domain_refuses_is_refused(events: list[CloudEvent], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        decided(*events)
    assert refused.value.code == code


def test_a_lapsed_session_may_still_say_that_it_ended() -> None:
    lapsed = SessionLapsed(originator_id="session-S1", originator_version=2, timestamp=NOW, judged_at=NOW)
    before = [*decided(ISSUED, STARTED), NewEvent(lapsed, STARTED.unique_id, {})]
    assert names(decided(told("session.ended", session_id="S1"), stored=before)) == [("session.ended", 3)]
