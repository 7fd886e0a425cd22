"""The sample fleet's plan: who says what, and when. Pure: a seed and a start give the same plan every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from domain.tier import Tier

LENGTH_SECONDS: Final = 24
HEARTBEAT_SECONDS: Final = 1
SHORT_PATIENCE_SECONDS: Final = 6.0
LICENSES: Final = 24
STEADY, LEAVING, SILENT = 150, 40, 25
ENDED_WITH_THEIR_LICENSE: Final = 3
RUNS_PER_TIER: Final = 30
FALLS_SILENT, COMES_BACK = 4, 18
"""When the silent ones stop and the returning one speaks again, in seconds from the start."""


class Said(NamedTuple):
    """One message of the plan.

    Attributes:
        after_seconds: when it is sent, counted from the start.
        type: its CloudEvents type.
        subject: whom it is about.
        data: its data.
        occurred_at: when it happened; None: when it is sent.
        batched: whether a gateway sends it together with others of the same moment.
    """

    after_seconds: float
    type: str
    subject: str
    data: dict[str, Any]
    occurred_at: datetime | None = None
    batched: bool = False


class Term(NamedTuple):
    """A license's term, in days from the start of the run; negative is past."""

    began: float
    ends: float


_USUAL = Term(-200, 200)
_TERMS: Final = {
    15: Term(-300, 20),  # the notice at 30 days has come due
    16: Term(-300, 20),
    17: Term(-300, 5),  # … and the one at 7 days
    18: Term(-300, 0.5),  # … and the one at 1 day
    19: Term(-300, -1),  # expired while nobody looked
    20: Term(-300, 3),  # renewed in a moment
    24: Term(-300, 8 / 86_400),  # expires eight seconds into the run, and ends its sessions
}
_PATIENT_FROM: Final = 10  # licenses 1 … 9 let a session lapse within seconds


def plan(*, seed: int, start: datetime, tag: str) -> list[Said]:
    """Everything the fleet says, in order of time.

    Args:
        seed: of its chances.
        start: when the run begins, UTC.
        tag: set into every id, so that fleets can follow each other on one database.
    """
    chance = random.Random(seed)  # noqa: S311  a sample, not a secret
    said = [*_licenses(start, tag), *_sessions(chance, tag), *_refused(tag), *_tasks(chance, tag)]
    return sorted(said, key=lambda message: message.after_seconds)


def license_id(tag: str, number: int) -> str:
    """What the fleet calls its license ``number``."""
    return f"lic-{tag}-{number:02}"


def _licenses(start: datetime, tag: str) -> Iterator[Said]:
    for number in range(1, LICENSES + 1):
        term = _TERMS.get(number, _USUAL)
        name = license_id(tag, number)
        data = {
            "license_id": name,
            "valid_until": (start + timedelta(days=term.ends)).isoformat(),
            "holder": f"holder-{number:02}",
            "holder_email": f"holder-{number:02}@example.org",
            "seats": 50,
            "policy": {"name": "strict", "expiry": "revoke"} if number == LICENSES else {},
            **({"patience_seconds": SHORT_PATIENCE_SECONDS} if number < _PATIENT_FROM else {}),
        }
        yield Said(0, "license.issued", name, data, start + timedelta(days=term.began))
    yield _about_license(tag, 20, 1.0, "license.renewed", valid_until=(start + timedelta(days=368)).isoformat())
    yield _about_license(tag, 21, 1.0, "license.suspended", reason="payment overdue")
    yield _about_license(tag, 22, 1.0, "license.suspended", reason="payment overdue")
    yield _about_license(tag, 22, 5.0, "license.reinstated", reason="paid")
    yield _about_license(tag, 23, 2.0, "license.revoked", reason="terms broken")
    yield from _agreed_anew(tag)


def _agreed_anew(tag: str) -> Iterator[Said]:
    """What else changes about licenses; a clerk is answerable."""
    by = {"actor": "clerk@vendor.example", "reason": "order 4712"}
    policy = {"name": "floating", "patience_seconds": SHORT_PATIENCE_SECONDS, "expiry": "maintain", "overage": "1.25x"}
    heir = {"holder": "apex", "holder_email": "apex@example.org", "reason": "bought by Apex"}
    yield _about_license(tag, 1, 2.0, "license.seats_changed", seats=60, **by)
    yield _about_license(tag, 10, 2.0, "license.transferred", **heir)
    yield _about_license(tag, 2, 2.0, "license.policy_changed", policy=policy, **by)
    yield _about_license(tag, 12, 2.0, "license.entitlement_attached", entitlement="export", **by)
    yield _about_license(tag, 12, 3.0, "license.entitlement_attached", entitlement="sso", **by)
    yield _about_license(tag, 12, 4.0, "license.entitlement_detached", entitlement="export", **by)


def _about_license(tag: str, number: int, after_seconds: float, kind: str, **data: Any) -> Said:
    name = license_id(tag, number)
    return Said(after_seconds, kind, name, {"license_id": name, **data})


def _sessions(chance: random.Random, tag: str) -> Iterator[Said]:
    fates = [*["steady"] * STEADY, *["leaving"] * LEAVING, *["silent"] * SILENT, "returning"]
    for number, fate in enumerate(fates):
        patient = fate == "steady"
        licensed = chance.randint(_PATIENT_FROM, 18) if patient else chance.randint(1, _PATIENT_FROM - 1)
        yield from _session(chance, f"ses-{tag}-{number:03}", license_id(tag, licensed), fate)
    for number in range(len(fates), len(fates) + ENDED_WITH_THEIR_LICENSE):
        yield from _session(chance, f"ses-{tag}-{number:03}", license_id(tag, LICENSES), "steady")


def _session(chance: random.Random, name: str, licensed: str, fate: str) -> Iterator[Said]:
    begins = 1.2 + chance.random()
    ends = {"leaving": chance.uniform(5, 12), "returning": LENGTH_SECONDS - 0.2}.get(fate)
    yield Said(
        begins, "session.started", name, {"session_id": name, "license_id": licensed, "host": f"host-{name[-1]}"}
    )
    batched = chance.random() < 0.5  # noqa: PLR2004  every other one sits behind a gateway
    moment = begins
    while (moment := moment + HEARTBEAT_SECONDS) < min(ends or LENGTH_SECONDS, LENGTH_SECONDS):
        if fate in {"steady", "leaving"} or moment < FALLS_SILENT or (fate == "returning" and moment > COMES_BACK):
            yield Said(moment, "session.heartbeat", name, {"session_id": name}, batched=batched)
    if ends is not None:
        yield Said(ends, "session.ended", name, {"session_id": name, "reason": "signed out"})


def _refused(tag: str) -> Iterator[Said]:
    """What is not taken in: a start that its license denies, and what the domain refuses or the schema forbids."""
    suspended, unknown = license_id(tag, 21), license_id(tag, 99)
    for name, licensed in ((f"ses-{tag}-r1", suspended), (f"ses-{tag}-r2", unknown)):
        yield Said(3.0, "session.started", name, {"session_id": name, "license_id": licensed})
    yield Said(3.0, "session.ended", f"ses-{tag}-r3", {"session_id": f"ses-{tag}-r3"})
    yield Said(3.0, "session.started", f"ses-{tag}-r4", {"session_id": f"ses-{tag}-r4"})  # names no license
    yield Said(3.0, "license.painted", license_id(tag, 1), {"color": "blue"})  # no such type


def _tasks(chance: random.Random, tag: str) -> Iterator[Said]:
    for tier in Tier:
        for number in range(RUNS_PER_TIER):
            duration = chance.randint(10, 60)
            asked = {"kwargs": {"duration_ms": duration}, "license_id": license_id(tag, chance.randint(1, 18))}
            yield _request(chance.uniform(1, 14), tier, "sample.work", priority=chance.randint(0, 10), **asked)
            if number < 3:  # noqa: PLR2004  a few of the rarer fates in each tier
                yield _request(chance.uniform(1, 6), tier, "sample.flaky", kwargs={"failures": 1 + number % 2})
    for number in range(5):
        yield _request(2.0 + number, Tier.NORMAL, "sample.fail", kwargs={"why": f"invoice {number} has no address"})
    yield _request(2.0, Tier.HIGH, "sample.hang")
    yield _request(2.0, Tier.LOW, "sample.kill_itself")
    yield _request(3.0, Tier.CRITICAL, "sample.no_such_task")
    yield _request(3.0, Tier.NORMAL, "sample.work", kwargs={"duration_ms": 1}, expires_at="2020-01-01T00:00:00Z")


def _request(after_seconds: float, tier: Tier, task: str, **data: Any) -> Said:
    return Said(after_seconds, "task.requested", task, {"task": task, "tier": tier.value, **data})
