from __future__ import annotations

from datetime import UTC, timedelta, timezone
from uuid import uuid5

import pytest

from infra.cloudevents import unique_id
from infra.cloudevents.event import NAMESPACE, is_json
from tests.infra.cloudevents.examples import NOON, event


def test_the_unique_id_is_the_version_5_uuid_of_source_and_id() -> None:
    assert event(source="/a", id="b").unique_id == uuid5(NAMESPACE, "/a\0b")
    assert unique_id("/ä", "ö") == uuid5(NAMESPACE, "/ä\0ö")


def test_the_unique_id_never_changes_between_releases() -> None:
    assert str(unique_id("/gateway/7", "e-1")) == "884b96d3-845b-5db8-a780-f3889f153d7f"


def test_source_and_id_do_not_run_into_each_other() -> None:
    assert unique_id("/a", "bc") != unique_id("/ab", "c")


def test_an_event_made_with_another_offset_is_in_utc() -> None:
    made = event(time=NOON.astimezone(timezone(timedelta(hours=5, minutes=30))))

    assert made == event()
    assert made.time.tzinfo is UTC


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        event().id = "other"  # type: ignore[misc]


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", "text/json", "a/b+json"])
def test_json_is_known_by_its_subtype(media_type: str) -> None:
    assert is_json(media_type)


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "json", "application/jsonx", ""])
def test_other_media_types_are_not_json(media_type: str) -> None:
    assert not is_json(media_type)
