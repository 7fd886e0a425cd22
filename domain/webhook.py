"""Webhook endpoints: where others are told of events. Folded from its events; verbs answer with the fact to append."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from domain.aggregate import Event
from domain.refusal import Refusal
from domain.webhook_address import check_address
from domain.webhook_events import (
    DisabledBecause,
    EndpointTerms,
    WebhookBeganFailing,
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookEvent,
    WebhookRecovered,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookTested,
)
from domain.webhook_subscription import check_patterns

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
STEADY_AFTER: Final = timedelta(minutes=10)
"""So long after it recovered no failure counts as a new beginning: an endpoint that fails now and then, a thousand
deliveries an hour, would else tell of each, in a stream that every delivery reads."""
NAMES_ALLOWED: Final = "1 to 100 letters, digits and any of . _ -, the first a letter or a digit"


class WebhookUnknown(Refusal):
    """there is no such endpoint."""


class WebhookExists(Refusal):
    """there is an endpoint of this name; change it, or remove it first."""


class WebhookUnchanged(Refusal):
    """the endpoint is as asked for already."""


class WebhookNotActive(Refusal):
    """the endpoint is disabled; enable it first."""


class WebhookState(StrEnum):
    """What an endpoint is up to."""

    ABSENT = "absent"
    ACTIVE = "active"
    DISABLED = "disabled"
    REMOVED = "removed"


AnyWebhookEvent = TypeVar("AnyWebhookEvent", bound=WebhookEvent)


class Webhook(msgspec.Struct, frozen=True):
    """An endpoint as its events tell it.

    Attributes:
        name: what people call it.
        version: how many things have happened to it.
        state: what it is up to.
        terms: where it is and what it wants to hear; None: it was never registered.
        generation: which secret its deliveries are signed with.
        previous_until: how long they are signed with the one before it, too.
        since: events recorded from then on are sent; None: none is.
        failing_since: when the first of the deliveries failed after which none arrived; None: the last one arrived.
        recovered_at: when one arrived after others had failed, the last time.
    """

    name: str
    version: int = 0
    state: WebhookState = WebhookState.ABSENT
    terms: EndpointTerms | None = None
    generation: int = 0
    previous_until: datetime | None = None
    since: datetime | None = None
    failing_since: datetime | None = None
    recovered_at: datetime | None = None

    @property
    def stream(self) -> str:
        """Its stream."""
        return webhook_stream(self.name)

    def generations(self, *, at: datetime) -> tuple[int, ...]:
        """Whose secrets a delivery is signed with, the newest first."""
        is_rotating = self.previous_until is not None and at < self.previous_until
        return (self.generation, self.generation - 1) if is_rotating else (self.generation,)

    def after(self, event: Event, *, recorded_at: datetime) -> Webhook:
        """The endpoint once ``event`` has happened to it; ``recorded_at`` is when the log took it in."""
        changed: dict[str, Any] = {}
        match event:
            case WebhookRegistered():
                changed = {**_active(recorded_at), "terms": event.terms, "generation": event.generation}
                changed["previous_until"] = None  # the secret before it was another registration's
            case WebhookChanged():
                changed = {"terms": event.terms}
            case WebhookDisabled():
                changed = {"state": WebhookState.DISABLED, "since": None}
            case WebhookEnabled():
                changed = _active(recorded_at)
            case WebhookRemoved():
                changed = {"state": WebhookState.REMOVED, "since": None, "failing_since": None}
            case WebhookSecretRotated():
                changed = {"generation": event.generation, "previous_until": event.previous_until}
            case WebhookBeganFailing():
                changed = {"failing_since": event.timestamp}
            case WebhookRecovered():
                changed = {"failing_since": None, "recovered_at": event.timestamp}
        return msgspec.structs.replace(self, version=event.originator_version, **changed)

    def register(
        self, terms: EndpointTerms, *, allows_http: bool, at: datetime, reason: str | None = None
    ) -> WebhookRegistered:
        """Let there be an endpoint of this name.

        Raises:
            WebhookExists: there is one.
            ValueError: name or terms cannot be; the message says what is allowed.
        """
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of an endpoint; allowed are {NAMES_ALLOWED}")
        if self.state not in {WebhookState.ABSENT, WebhookState.REMOVED}:
            raise WebhookExists(self.stream)
        check_terms(terms, allows_http=allows_http)
        return self._next(WebhookRegistered, at=at, terms=terms, generation=self.generation + 1, reason=reason)

    def change(
        self, terms: EndpointTerms, *, allows_http: bool, at: datetime, reason: str | None = None
    ) -> WebhookChanged:
        """Let other terms hold.

        Raises:
            WebhookUnknown: there is no such endpoint.
            WebhookUnchanged: these are its terms.
            ValueError: the terms cannot be; the message says what is allowed.
        """
        previous = self.known_terms()
        if terms == previous:
            raise WebhookUnchanged(self.stream)
        check_terms(terms, allows_http=allows_http)
        return self._next(WebhookChanged, at=at, terms=terms, previous_terms=previous, reason=reason)

    def disable(self, because: DisabledBecause, *, at: datetime, detail: str | None = None) -> WebhookDisabled:
        """Send nothing to it from now on.

        Raises:
            WebhookUnknown: there is no such endpoint.
            WebhookUnchanged: it is disabled already.
        """
        self.known_terms()
        if self.state is WebhookState.DISABLED:
            raise WebhookUnchanged(self.stream)
        return self._next(WebhookDisabled, at=at, because=because, detail=detail)

    def enable(self, *, at: datetime, reason: str | None = None) -> WebhookEnabled:
        """Send to it again what is recorded from now on.

        Raises:
            WebhookUnknown: there is no such endpoint.
            WebhookUnchanged: it is not disabled.
        """
        self.known_terms()
        if self.state is not WebhookState.DISABLED:
            raise WebhookUnchanged(self.stream)
        return self._next(WebhookEnabled, at=at, reason=reason)

    def remove(self, *, at: datetime, reason: str | None = None) -> WebhookRemoved:
        """Let there be no such endpoint any more.

        Raises:
            WebhookUnknown: there is none.
        """
        self.known_terms()
        return self._next(WebhookRemoved, at=at, reason=reason)

    def rotate(self, *, previous_for: timedelta, at: datetime, reason: str | None = None) -> WebhookSecretRotated:
        """Sign with a new secret from now on, and for a while with the one before it, too.

        Raises:
            WebhookUnknown: there is no such endpoint.
        """
        self.known_terms()
        told = {"generation": self.generation + 1, "previous_until": at + previous_for, "reason": reason}
        return self._next(WebhookSecretRotated, at=at, **told)

    def test(self, *, at: datetime, reason: str | None = None) -> WebhookTested:
        """Have a delivery sent to it.

        Raises:
            WebhookUnknown: there is no such endpoint.
            WebhookNotActive: it is disabled.
        """
        self.known_terms()
        if self.state is not WebhookState.ACTIVE:
            raise WebhookNotActive(self.stream)
        return self._next(WebhookTested, at=at, reason=reason)

    def arrived(self, *, at: datetime) -> WebhookRecovered | None:
        """What follows from a delivery that arrived; None: nothing."""
        if self.failing_since is None or self.state is WebhookState.REMOVED:
            return None
        return self._next(WebhookRecovered, at=at, failing_since=self.failing_since)

    def failed(
        self, error: str, *, is_gone: bool, disable_after: timedelta, at: datetime
    ) -> WebhookBeganFailing | WebhookDisabled | None:
        """What follows from a delivery that failed; None: nothing."""
        if self.state is not WebhookState.ACTIVE:
            return None
        if is_gone:
            return self.disable(DisabledBecause.GONE, at=at, detail=error)
        if self.failing_since is None:
            if self.recovered_at is not None and at - self.recovered_at < STEADY_AFTER:
                return None
            return self._next(WebhookBeganFailing, at=at, error=error)
        if at - self.failing_since < disable_after:
            return None
        detail = f"nothing has arrived since {self.failing_since.isoformat()}; last: {error}"
        return self.disable(DisabledBecause.FAILING, at=at, detail=detail)

    def known_terms(self) -> EndpointTerms:
        """Its terms.

        Raises:
            WebhookUnknown: there is no such endpoint, or not any more.
        """
        if self.terms is None or self.state is WebhookState.REMOVED:
            raise WebhookUnknown(self.stream)
        return self.terms

    def _next(self, event_class: type[AnyWebhookEvent], *, at: datetime, **data: Any) -> AnyWebhookEvent:
        return event_class(
            originator_id=self.stream, originator_version=self.version + 1, timestamp=at, endpoint=self.name, **data
        )


def webhook_stream(name: str) -> str:
    """Stream of the endpoint called ``name``."""
    return f"webhook-{name}"


def check_terms(terms: EndpointTerms, *, allows_http: bool) -> None:
    """See that an endpoint can be had by these terms.

    Raises:
        ValueError: it cannot; the message says what is allowed.
    """
    check_address(terms.url, allows_http=allows_http)
    check_patterns(terms.patterns)


def _active(since: datetime) -> dict[str, Any]:
    return {"state": WebhookState.ACTIVE, "since": since, "failing_since": None}
