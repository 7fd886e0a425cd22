from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.cause import Cause, derived_run_id

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CAUSE = UUID("9b0d3ef4-9f6d-5f0c-8b0e-000000000001")


def test_the_same_cause_gives_the_same_ids() -> None:
    cause = Cause(id=CAUSE, at=NOW, actor="tests")
    assert cause.event_id(0) == Cause(id=CAUSE, at=NOW, actor="others").event_id(0)
    assert cause.event_id(0) != cause.event_id(1)


def test_a_derived_run_id_is_a_uuid_of_version_seven_that_sorts_by_time() -> None:
    ids = [derived_run_id(CAUSE, "tell_the_holder", NOW + timedelta(milliseconds=shift)) for shift in range(3)]
    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}
    assert ids[0] == derived_run_id(CAUSE, "tell_the_holder", NOW)
    assert ids[0] != derived_run_id(CAUSE, "another purpose", NOW)


def test_metadata_names_the_story_after_its_first_cause() -> None:
    metadata = Cause(id=CAUSE, at=NOW, actor="tests").metadata()
    assert metadata == {"causation_id": str(CAUSE), "correlation_id": str(CAUSE), "actor": "tests"}


def test_an_event_names_what_caused_its_message_where_the_sender_told() -> None:
    cause = Cause(id=CAUSE, at=NOW, actor="tests", causation_id="the event before")
    assert cause.metadata()["causation_id"] == "the event before"
    assert cause.event_id(0) == Cause(id=CAUSE, at=NOW, actor="tests").event_id(0)
