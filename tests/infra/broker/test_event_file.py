from __future__ import annotations

from pathlib import Path

import pytest

from infra.broker.event_file import EventInvalidError, completed_event, events_of_file


def test_what_a_line_leaves_out_is_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(
        '{"type":"session.heartbeat","data":{"session_id":"a"}}\n\n'
        '{"type":"session.heartbeat","id":"e-2","source":"/other","data":{"session_id":"b"}}\n'
    )

    first, second = events_of_file(file, source="/shell")

    assert (first.source, first.type, bytes(first.data)) == ("/shell", "session.heartbeat", b'{"session_id":"a"}')
    assert (second.source, second.id) == ("/other", "e-2")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[]", "not a JSON object"),
        ("{", "not a JSON object"),
        ('{"data":{}}', "attribute type is missing"),
        ('{"type":"session.heartbeat","time":"noon"}', "RFC 3339"),
        ('{"type":"session.heartbeat"}', "session_id"),
        ('{"type":"session.beat"}', "is none of"),
        ('{"type":"session.heartbeat","data":{"session_id":"a\\u0000"}}', "U+0000"),
    ],
)
def test_a_line_that_is_no_event_is_named_by_its_number(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"type":"session.heartbeat","data":{"session_id":"a"}}\n' + line)

    with pytest.raises(EventInvalidError) as told:
        list(events_of_file(file, source="/shell"))

    assert str(told.value).startswith(f"{file}:2: ")
    assert reason in str(told.value)


def test_every_completed_event_has_an_id_of_its_own() -> None:
    attributes = {"type": "session.heartbeat", "data": {"session_id": "a"}}

    assert completed_event(attributes, source="/s").id != completed_event(attributes, source="/s").id
