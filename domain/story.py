"""Stories: all runs of one correlation id, such as a chain's or a chord's, and what else they bring about."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from domain.aggregate import Event
from domain.refusal import Refusal

SLOT_REVOCATION: Final = 1
"""A story is taken back once, whoever asks."""


class StoryRevocationAlreadyRequested(Refusal):
    """somebody has asked for the story to be revoked already."""


class RunBelongsToStory(Refusal):
    """that is no story, but a run or a chord of one; its story is {correlation_id}."""


class StoryRevocationRequested(Event, frozen=True, kw_only=True):
    """Somebody wants no run of the story to be executed, or not any longer.

    Each ends as revoked unless it ended before, whenever it turns up: also one that is asked for later.
    """

    TOPIC: ClassVar[str] = "story.revocation_requested"
    correlation_id: str
    reason: str


def story_stream(correlation_id: str) -> str:
    """The stream of what is done about a story as a whole."""
    return f"story-{correlation_id}"


def story_revocation_requested(correlation_id: str, *, reason: str, at: datetime) -> StoryRevocationRequested:
    """The fact that somebody takes a story back, of which nothing need be recorded yet.

    Args:
        correlation_id: names the story.
        reason: why.
        at: when it was asked for, UTC.
    """
    return StoryRevocationRequested(
        originator_id=story_stream(correlation_id),
        originator_version=SLOT_REVOCATION,
        timestamp=at,
        correlation_id=correlation_id,
        reason=reason,
    )
