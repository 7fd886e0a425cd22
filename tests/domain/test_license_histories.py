"""Random lives of a license, looked at often or seldom, against a model that knows nothing of how it is built.

The model keeps what was asked for in lists and answers from them; it has no states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.aggregate import Event, replay
from domain.license import License
from domain.license_events import CALENDAR
from domain.license_policy import Expiry, LicensePolicy
from domain.refusal import Refusal

ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = st.sampled_from(["sso", "export", "audit"])


@dataclass
class Model:
    """What was agreed, as somebody would note it on paper."""

    terms: list[tuple[datetime, datetime]] = field(default_factory=list)
    revoked: bool = False
    suspended: bool = False
    expiry: str = "restrict"
    seats: int | None = None
    holder: str | None = None
    has: set[str] = field(default_factory=set)
    last_look: datetime = ISSUED

    def admits(self, now: datetime) -> bool:
        is_over = self.terms[-1][1] <= now
        return not self.revoked and not self.suspended and (not is_over or self.expiry == "maintain")

    def facts_of_terms(self) -> set[tuple[datetime, int]]:
        """What has to have been recorded: by end of term, how many days before it (0: the end itself)."""
        looked = [began for began, _ in self.terms[1:]] + [self.last_look]
        return {
            (ends, days)
            for (began, ends), until in zip(self.terms, looked, strict=True)
            for days in (30, 7, 1, 0)
            if began < ends - days * DAY <= until
        }


class Lives(RuleBasedStateMachine):
    """One license; time only goes forward, and the calendar is looked at when it pleases."""

    @initialize(days=st.integers(1, 60), expiry=st.sampled_from(Expiry))
    def issue(self, days: int, expiry: Expiry) -> None:
        self.now = ISSUED
        self.model = Model(terms=[(ISSUED, ISSUED + days * DAY)], expiry=expiry.value)
        self.license = License.issue(
            "L1", valid_until=ISSUED + days * DAY, at=ISSUED, policy=LicensePolicy(expiry=expiry)
        )
        self.events: list[Event] = []
        self.collect()

    def collect(self) -> None:
        self.events += [event for event in self.license.collect_events() if isinstance(event, Event)]

    def ask(self, verb: str, *given: Any, allowed: bool, **named: Any) -> None:
        """Ask the license; it has to say yes exactly where the model does."""
        try:
            getattr(self.license, verb)(*given, **named)
        except Refusal:
            assert not allowed, f"{verb} was refused"
        else:
            assert allowed, f"{verb} was not refused"
        self.collect()

    @rule(hours=st.integers(1, 24 * 40))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def somebody_looks_at_the_calendar(self) -> None:
        self.license.judge_term(now=self.now)
        self.collect()
        if not self.model.revoked:
            self.model.last_look = self.now

    @rule(days=st.integers(-10, 60))
    def renew(self, days: int) -> None:
        ends = self.model.terms[-1][1]
        asked = max(ends, self.now) + days * DAY if days > 0 else ends + days * DAY
        allowed = not self.model.revoked and asked > ends
        self.ask("renew", valid_until=asked, at=self.now, allowed=allowed)
        if allowed:
            self.model.terms.append((self.now, asked))
            self.model.last_look = self.now

    @rule()
    def suspend(self) -> None:
        allowed = not self.model.revoked and not self.model.suspended
        self.ask("suspend", reason="payment", at=self.now, allowed=allowed)
        self.model.suspended |= allowed

    @rule()
    def reinstate(self) -> None:
        allowed = not self.model.revoked and self.model.suspended
        self.ask("reinstate", reason="paid", at=self.now, allowed=allowed)
        self.model.suspended &= not allowed

    @precondition(lambda self: len(self.model.terms) > 1)
    @rule()
    def revoke(self) -> None:
        self.ask("revoke", reason="fraud", at=self.now, allowed=not self.model.revoked)
        self.model.revoked = True

    @rule(expiry=st.sampled_from(Expiry))
    def change_policy(self, expiry: Expiry) -> None:
        allowed = not self.model.revoked and expiry.value != self.model.expiry
        self.ask("change_policy", LicensePolicy(expiry=expiry), at=self.now, allowed=allowed)
        if allowed:
            self.model.expiry = expiry.value

    @rule(seats=st.none() | st.integers(1, 3))
    def change_seats(self, seats: int | None) -> None:
        allowed = not self.model.revoked and seats != self.model.seats
        self.ask("change_seats", seats, at=self.now, allowed=allowed)
        if allowed:
            self.model.seats = seats

    @rule(holder=st.sampled_from(["acme", "apex"]))
    def transfer(self, holder: str) -> None:
        allowed = not self.model.revoked and holder != self.model.holder
        self.ask("transfer", holder=holder, holder_email=None, at=self.now, allowed=allowed)
        if allowed:
            self.model.holder = holder

    @rule(name=NAMES)
    def attach(self, name: str) -> None:
        allowed = not self.model.revoked and name not in self.model.has
        self.ask("attach", name, at=self.now, allowed=allowed)
        if allowed:
            self.model.has.add(name)

    @rule(name=NAMES)
    def detach(self, name: str) -> None:
        allowed = not self.model.revoked and name in self.model.has
        self.ask("detach", name, at=self.now, allowed=allowed)
        if allowed:
            self.model.has.remove(name)

    @invariant()
    def it_admits_exactly_when_it_was_agreed(self) -> None:
        assert (self.license.barred_as(at=self.now) is None) == self.model.admits(self.now)

    @invariant()
    def it_has_what_was_agreed(self) -> None:
        has = (self.license.seats, self.license.holder, set(self.license.entitlements), self.license.policy.expiry)
        assert has == (self.model.seats, self.model.holder, self.model.has, self.model.expiry)

    @invariant()
    def its_events_give_the_same_license_again(self) -> None:
        assert replay(self.events) == self.license

    @invariant()
    def each_change_says_what_the_one_before_left(self) -> None:
        last: dict[str, Any] = {}
        for event in self.events:
            said = event.data()
            before = {name.removeprefix("previous_"): value for name, value in said.items() if "previous_" in name}
            assert {name: last[name] for name in before if name in last} == {n: before[n] for n in before if n in last}
            last |= {name: said[name] for name in before}
            if event.TOPIC == "license.issued":
                last = {name: said[name] for name in ("seats", "holder", "holder_email", "valid_until", "policy")}
                last |= {"entitlements": (), "state": "active"}

    @invariant()
    def notices_and_ends_are_recorded_once_with_the_time_at_which_they_came_due(self) -> None:
        told = [
            (event.valid_until, getattr(event, "days_left", 0), event.timestamp)
            for event in self.events
            if isinstance(event, CALENDAR)
        ]
        assert all(at == ends - days * DAY for ends, days, at in told)
        assert len(set(told)) == len(told)
        assert {(ends, days) for ends, days, _ in told} == self.model.facts_of_terms()


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLivesOfALicense = Lives.TestCase
