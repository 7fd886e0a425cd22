"""Which events an endpoint is told of: those whose names fit its patterns, and never what delivering brings about."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final

from domain.aggregate import EVENT_CLASSES, Event
from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from domain.webhook_events import WebhookBeganFailing, WebhookRecovered, WebhookTested

DELIVERY_TASK: Final = "deliver_webhook"
"""The task that sends one event to one endpoint."""
NEVER_SENT: Final = frozenset(
    {
        HeartbeatsReceived.TOPIC,
        WatermarkPassed.TOPIC,
        WebhookBeganFailing.TOPIC,
        WebhookRecovered.TOPIC,
        WebhookTested.TOPIC,
    }
)
"""Events that are no news to anybody, thousands a minute; those that attempts of deliveries bring about, of which each
that is sent may bring about the next; and the one that is sent to the endpoint it is about."""
DELIVERY_CONTEXT: Final = "delivery."
"""How the names of events begin that say what came of a delivery."""
MOST_PATTERNS: Final = 50
_PATTERN: Final = re.compile(r"[a-z0-9_.*]{1,100}")


def sendable_names() -> list[str]:
    """Names of the events that an endpoint may be told of."""
    return sorted(name for name in EVENT_CLASSES if name not in NEVER_SENT and not name.startswith(DELIVERY_CONTEXT))


def wanted_names(patterns: Iterable[str]) -> set[str]:
    """Names of the events that one of the patterns fits."""
    names = sendable_names()
    return {name for pattern in patterns for name in names if fnmatchcase(name, pattern)}


def is_wanted(event: Event, names: Collection[str]) -> bool:
    """Whether ``event`` is to be sent to who wants those ``names``.

    What a run of a delivery brings about is never sent: each would bring about the next.
    """
    return event.TOPIC in names and getattr(event, "task", None) != DELIVERY_TASK


def check_patterns(patterns: Collection[str]) -> None:
    """See that an endpoint may have these patterns.

    Raises:
        ValueError: there are none or too many, or one fits no event; the message says what is allowed.
    """
    if not 1 <= len(patterns) <= MOST_PATTERNS:
        raise ValueError(f"an endpoint has 1 to {MOST_PATTERNS} patterns of names of events, not {len(patterns)}")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern) or not wanted_names([pattern]):
            contexts = sorted({name.partition(".")[0] for name in sendable_names()})
            raise ValueError(
                f"{pattern!r} fits no event that can be sent; allowed are names as docs/events.md has them, with * for"
                f" any text: {', '.join(f'{context}.*' for context in contexts)}"
            )
