from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.license_messages import LICENSE_MESSAGES
from domain.messages import MESSAGES
from domain.refusal import Refusal
from domain.session_denial import SessionDenied
from domain.session_events import SessionLapsed, SessionStarted
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
        told("license.transferred", license_id="L1", holder="apex"),
        told("license.policy_changed", license_id="L1", policy={"expiry": "maintain"}),
        told("license.seats_changed", license_id="L1", seats=40),
        told("license.entitlement_attached", license_id="L1", entitlement="sso"),
        told("license.entitlement_detached", license_id="L1", entitlement="sso"),
        told("license.revoked", license_id="L1", reason="fraud"),
    ]
    assert names(decided(*story)) == [
        ("license.issued", 1),
        ("session.started", 1),
        ("session.ended", 2),
        ("license.renewed", 2),
        ("license.suspended", 3),
        ("license.reinstated", 4),
        ("license.transferred", 5),
        ("license.policy_changed", 6),
        ("license.seats_changed", 7),
        ("license.entitlement_attached", 8),
        ("license.entitlement_detached", 9),
        ("license.revoked", 10),
    ]


def test_a_handler_for_each_type_and_no_other() -> None:
    assert set(licensing.HANDLERS) == {
        "session.started",
        "session.ended",
        *(name for name in MESSAGES if name.startswith("license.")),
        "signal.received",
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
    assert [fact.event.data()["rules"]["patience_seconds"] for fact in facts[2:]] == [360.0, 5.0]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([told("session.ended", session_id="S1")], "SessionUnknown"),
        ([STARTED], "LicenseUnknown"),
        ([told("license.renewed", license_id="L1", valid_until="2031-01-01T00:00:00Z")], "LicenseUnknown"),
        ([ISSUED, told("license.issued", license_id="L1", valid_until="2030-01-01T00:00:00Z")], "LicenseAlreadyIssued"),
        ([ISSUED, STARTED, told("session.started", session_id="S1", license_id="L1")], "SessionAlreadyStarted"),
        ([told("license.issued", license_id="L1", valid_until="2020-01-01T00:00:00Z")], "TermEnded"),
        ([ISSUED, told("license.reinstated", license_id="L1", reason="")], "LicenseNotSuspended"),
        ([ISSUED, told("license.renewed", license_id="L1", valid_until="2029-01-01T00:00:00Z")], "TermNotLonger"),
        ([ISSUED, told("license.seats_changed", license_id="L1", seats=None)], "LicenseUnchanged"),
        ([ISSUED, told("license.policy_changed", license_id="L1", policy={})], "LicenseUnchanged"),
        ([ISSUED, told("license.entitlement_detached", license_id="L1", entitlement="e")], "EntitlementNotAttached"),
        ([told("license.transferred", license_id="L1", holder="apex")], "LicenseUnknown"),
    ],
)
def test_what_the_domain_refuses_is_refused(events: list[CloudEvent], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        decided(*events)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([ISSUED, told("license.suspended", license_id="L1", reason="")], "suspended"),
        ([ISSUED, told("license.revoked", license_id="L1", reason="")], "revoked"),
        ([ENDED_JUST_NOW], "expired"),
    ],
    ids=["suspended", "revoked", "expired"],
)
def test_a_start_that_the_license_s_state_does_not_admit_is_denied_and_that_is_a_fact(
    events: list[CloudEvent], reason: str
) -> None:
    denied = decided(*events, STARTED)[-1]
    assert isinstance(denied.event, SessionDenied)
    assert denied.event.originator_id.startswith("session_denial-")
    assert (denied.event.session_id, denied.event.license_id, denied.event.wish) == ("S1", "L1", "start")
    assert denied.event.reason == reason


def test_starts_beyond_the_seats_are_denied_with_the_figures_and_an_end_makes_room() -> None:
    seated = told("license.issued", license_id="L1", valid_until="2030-01-01T00:00:00Z", seats=2)
    starts = [told("session.started", session_id=f"S{n}", license_id="L1") for n in range(4)]
    facts = decided(seated, *starts[:3], told("session.ended", session_id="S0"), starts[3])
    assert [fact.event.TOPIC for fact in facts[1:]] == [
        "session.started",
        "session.started",
        "session.denied",
        "session.ended",
        "session.started",
    ]
    started, denied = [fact.event for fact in facts if isinstance(fact.event, SessionStarted)], facts[3].event
    assert [(event.seat, event.seats) for event in started] == [(1, 2), (2, 2), (2, 2)]
    assert isinstance(denied, SessionDenied)
    assert (denied.reason, denied.seats, denied.limit, denied.taken) == ("no_seat", 2, 2, 2)


def test_the_end_of_a_session_that_had_lapsed_gives_no_second_seat_back() -> None:
    seated = told("license.issued", license_id="L1", valid_until="2030-01-01T00:00:00Z", seats=1)
    lapsed = SessionLapsed(originator_id="session-S1", originator_version=2, timestamp=NOW, judged_at=NOW)
    before = [*decided(seated, STARTED), NewEvent(lapsed, STARTED.unique_id, {})]
    starts = [told("session.started", session_id=f"S{n}", license_id="L1") for n in (2, 3)]
    after = decided(starts[0], told("session.ended", session_id="S1"), starts[1], stored=before)
    assert [fact.event.TOPIC for fact in after] == ["session.started", "session.ended", "session.denied"]


def test_a_lapsed_session_may_still_say_that_it_ended() -> None:
    lapsed = SessionLapsed(originator_id="session-S1", originator_version=2, timestamp=NOW, judged_at=NOW)
    before = [*decided(ISSUED, STARTED), NewEvent(lapsed, STARTED.unique_id, {})]
    assert names(decided(told("session.ended", session_id="S1"), stored=before)) == [("session.ended", 3)]


def test_a_change_names_who_is_answerable_and_why() -> None:
    by_name = told("license.seats_changed", license_id="L1", seats=9, actor="clerk@example.org", reason="order 4712")
    facts = decided(ISSUED, by_name, told("license.seats_changed", license_id="L1", seats=None))
    assert [fact.metadata["actor"] for fact in facts] == ["/tests", "clerk@example.org", "/tests"]
    assert [
        (said["seats"], said["previous_seats"], said["reason"]) for said in (f.event.data() for f in facts[1:])
    ] == [
        (9, None, "order 4712"),
        (None, 9, None),
    ]


EVERY_CHANGE = [
    ("license.issued", {"license_id": "L2", "valid_until": "2030-01-01T00:00:00Z"}),
    ("license.renewed", {"valid_until": "2031-01-01T00:00:00Z"}),
    ("license.suspended", {}),
    ("license.reinstated", {}),
    ("license.transferred", {"holder": "apex"}),
    ("license.policy_changed", {"policy": {"expiry": "maintain"}}),
    ("license.seats_changed", {"seats": 9}),
    ("license.entitlement_attached", {"entitlement": "sso"}),
    ("license.entitlement_detached", {"entitlement": "sso"}),
    ("license.revoked", {}),
]


def test_every_change_says_who_why_and_how_it_was_before() -> None:
    assert {name for name, _ in EVERY_CHANGE} == set(LICENSE_MESSAGES)
    messages = [
        told(name, **{"license_id": "L1", "actor": f"who {name}", "reason": f"why {name}", **data})
        for name, data in EVERY_CHANGE
    ]
    facts = decided(ISSUED, *messages)[1:]
    assert [fact.event.TOPIC for fact in facts] == [name for name, _ in EVERY_CHANGE]
    for fact in facts:
        said = fact.event.data()
        assert (fact.metadata["actor"], said["reason"]) == (f"who {fact.event.TOPIC}", f"why {fact.event.TOPIC}")
        before = {name.removeprefix("previous_") for name in said if name.startswith("previous_")}
        assert before <= set(said)
        assert any(said[name] != said[f"previous_{name}"] for name in before) is bool(before)
        assert bool(before) is (fact.event.TOPIC != "license.issued")


def test_an_issue_brings_its_entitlements_and_its_policy() -> None:
    issued = told(
        "license.issued",
        license_id="L1",
        valid_until="2030-01-01T00:00:00Z",
        policy={"expiry": "maintain", "patience_seconds": 60},
        entitlements=["sso", "export"],
    )
    facts = decided(issued)
    assert names(facts) == [
        ("license.issued", 1),
        ("license.entitlement_attached", 2),
        ("license.entitlement_attached", 3),
    ]
    assert len({fact.event_id for fact in facts}) == 3
    assert facts[0].event.data()["policy"]["expiry"] == "maintain"
    assert facts[2].event.data()["entitlements"] == ("export", "sso")


def test_a_renewal_records_first_what_nobody_looked_at_and_nobody_is_answerable_for_that() -> None:
    issued = told("license.issued", license_id="L1", valid_until=NOW - timedelta(days=3), at=NOW - timedelta(days=20))
    renewed = told("license.renewed", license_id="L1", valid_until="2031-01-01T00:00:00Z")
    facts = decided(issued, renewed)
    assert [(fact.event.TOPIC, fact.metadata["actor"]) for fact in facts[1:]] == [
        ("license.expiring_soon", "calendar"),
        ("license.expiring_soon", "calendar"),
        ("license.expired", "calendar"),
        ("license.renewed", "/tests"),
    ]


def test_a_renewal_by_a_clock_that_is_ahead_does_not_end_the_term_early() -> None:
    ahead = told("license.renewed", license_id="L1", valid_until="2031-01-01T00:00:00Z", at=NOW + timedelta(days=5000))
    assert names(decided(ISSUED, ahead)) == [("license.issued", 1), ("license.renewed", 2)]
