"""Asking for a story to be revoked by what is taken for its id."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.fan_in import fan_in_stream
from domain.story import RunBelongsToStory
from infra.event_store import EventStore, Log
from tasks.revoking import ask_for_revocation_of_story
from tests.tasks.dispatch.declared import FanIn


def test_the_group_of_a_chord_within_a_chain_is_no_story_and_its_story_is_named(store: EventStore) -> None:
    fan_in = FanIn(store, members=2)
    fan_in.declare()
    stream = fan_in_stream(fan_in.id)
    story = store.load_recorded(Log.TASKS, [stream])[stream][0].metadata["correlation_id"]
    with pytest.raises(RunBelongsToStory, match=story):
        ask_for_revocation_of_story(store, fan_in.id, reason="not needed", actor="ann", at=datetime.now(UTC))
