"""What happens to a webhook endpoint, and to a hook of ours that others call."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

import msgspec

from domain.aggregate import Event


class DisabledBecause(StrEnum):
    """Why nothing is sent to an endpoint any more."""

    ASKED = "asked"
    """Somebody wants it so."""
    GONE = "gone"
    """It answered 410: it wants nothing more."""
    FAILING = "failing"
    """For days nothing that was sent to it arrived."""


class EndpointTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Where an endpoint is and what it wants to hear.

    Attributes:
        url: where deliveries are posted to.
        patterns: of the names of the events it wants (`license.*`); `*` stands for any text.
        description: whose it is, in words.
    """

    url: str
    patterns: tuple[str, ...]
    description: str | None = None


class WebhookEvent(Event, frozen=True, kw_only=True):
    """Anything that is done about an endpoint."""

    endpoint: str


class WebhookRegistered(WebhookEvent, frozen=True, kw_only=True):
    """An endpoint wants to hear of events from now on; its secret is that of `generation`."""

    TOPIC: ClassVar[str] = "webhook.registered"
    terms: EndpointTerms
    generation: int
    reason: str | None


class WebhookChanged(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint is elsewhere, or wants to hear of other events."""

    TOPIC: ClassVar[str] = "webhook.changed"
    terms: EndpointTerms
    previous_terms: EndpointTerms
    reason: str | None


class WebhookDisabled(WebhookEvent, frozen=True, kw_only=True):
    """Nothing is sent to the endpoint from here on; `detail` says what decided it."""

    TOPIC: ClassVar[str] = "webhook.disabled"
    because: DisabledBecause
    detail: str | None


class WebhookEnabled(WebhookEvent, frozen=True, kw_only=True):
    """The endpoint hears again of what is recorded from here on."""

    TOPIC: ClassVar[str] = "webhook.enabled"
    reason: str | None


class WebhookRemoved(WebhookEvent, frozen=True, kw_only=True):
    """There is no such endpoint any more; what was sent to it stays on record."""

    TOPIC: ClassVar[str] = "webhook.removed"
    reason: str | None


class WebhookSecretRotated(WebhookEvent, frozen=True, kw_only=True):
    """Deliveries are signed with the secret of `generation`; until `previous_until` with the one before it, too."""

    TOPIC: ClassVar[str] = "webhook.secret_rotated"
    generation: int
    previous_until: datetime
    reason: str | None


class WebhookBeganFailing(WebhookEvent, frozen=True, kw_only=True):
    """A delivery failed, and none has arrived since; `error` says how it failed."""

    TOPIC: ClassVar[str] = "webhook.began_failing"
    error: str


class WebhookRecovered(WebhookEvent, frozen=True, kw_only=True):
    """A delivery arrived after others had failed since `failing_since`."""

    TOPIC: ClassVar[str] = "webhook.recovered"
    failing_since: datetime


class WebhookTested(WebhookEvent, frozen=True, kw_only=True):
    """Somebody wants to see a delivery arrive at this endpoint; this very event is sent to it, and to no other."""

    TOPIC: ClassVar[str] = "webhook.tested"
    reason: str | None


class HookEvent(Event, frozen=True, kw_only=True):
    """Anything that is done about a hook, by which others ask for a task."""

    hook: str


class HookDeclared(HookEvent, frozen=True, kw_only=True):
    """Others may call the hook: each call asks for a run of `task`, with what was sent as its argument `argument`."""

    TOPIC: ClassVar[str] = "hook.declared"
    task: str
    tier: str
    argument: str
    kwargs: dict[str, Any]
    generation: int
    reason: str | None


class HookSecretRotated(HookEvent, frozen=True, kw_only=True):
    """Calls are signed with the secret of `generation`; until `previous_until` that before it is taken, too."""

    TOPIC: ClassVar[str] = "hook.secret_rotated"
    generation: int
    previous_until: datetime
    reason: str | None


class HookRemoved(HookEvent, frozen=True, kw_only=True):
    """There is no such hook any more; the runs that it asked for stay."""

    TOPIC: ClassVar[str] = "hook.removed"
    reason: str | None


ENDPOINT_NAMES: Final = (
    WebhookRegistered.TOPIC,
    WebhookChanged.TOPIC,
    WebhookDisabled.TOPIC,
    WebhookEnabled.TOPIC,
    WebhookRemoved.TOPIC,
    WebhookSecretRotated.TOPIC,
    WebhookBeganFailing.TOPIC,
    WebhookRecovered.TOPIC,
    WebhookTested.TOPIC,
)
"""Of these endpoints are folded; an index has them by these names."""
HOOK_NAMES: Final = (HookDeclared.TOPIC, HookSecretRotated.TOPIC, HookRemoved.TOPIC)
"""Of these hooks are; the same index has them."""
