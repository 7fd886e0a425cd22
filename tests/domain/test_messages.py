from __future__ import annotations

import pytest

from domain.aggregate import EVENT_CLASSES
from domain.messages import MESSAGES, MessageInvalid, MessageTypeUnknown, SessionStartedData, decode_data


def test_data_of_the_right_shape_is_read() -> None:
    data = decode_data("session.started", b'{"session_id": "S1", "license_id": "L1"}')
    assert data == SessionStartedData(session_id="S1", license_id="L1")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"session_id": "S1"}', "license_id"),
        (b'{"session_id": "S1", "license_id": "L1", "hots": "x"}', "hots"),
        (b'{"session_id": "", "license_id": "L1"}', "session_id"),
        (b'{"session_id": "a b", "license_id": "L1"}', "session_id"),
        (b'{"session_id": 7, "license_id": "L1"}', "session_id"),
        (b"[1]", "array"),
        (b"{", "truncated"),
        (b"\xff", "malformed"),
    ],
)
def test_data_of_another_shape_is_refused_with_what_is_wrong(data: bytes, told: str) -> None:
    with pytest.raises(MessageInvalid, match=told):
        decode_data("session.started", data)


def test_an_unknown_type_is_refused_with_the_types_that_are_known() -> None:
    with pytest.raises(MessageTypeUnknown, match=r"session\.started"):
        decode_data("session.begun", b"{}")


def test_no_message_is_known_by_a_name_that_means_something_else_as_an_event() -> None:
    told_by_others = set(MESSAGES) & set(EVENT_CLASSES)
    assert {"session.started", "license.issued", "task.requested", "task.failed"} <= told_by_others
    assert set(MESSAGES) - told_by_others == {"session.heartbeat", "ingest.watermark"}


@pytest.mark.parametrize("attempt", [-1, 0, 2**27])
def test_an_attempt_whose_slot_would_be_that_of_something_else_is_refused(attempt: int) -> None:
    told = f'{{"run_id": "R1", "task": "t", "attempt": {attempt}}}'.encode()
    with pytest.raises(MessageInvalid, match="attempt"):
        decode_data("task.started", told)
