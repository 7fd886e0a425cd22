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


OUTSIDE = [
    "9999-12-31T23:59:59-05:00",
    "9990-01-01T00:00:00Z",
    "9989-12-31T23:00:00-01:00",
    "1970-01-01T00:59:59+01:00",
    "1969-12-31T23:59:59.999999Z",
    "0001-01-05T00:00:00Z",
    "0001-01-01T00:00:00+05:00",
]
WITH_MOMENTS = {
    "license.issued": '{"license_id": "L1", "valid_until": "%s"}',
    "license.renewed": '{"license_id": "L1", "valid_until": "%s"}',
    "task.requested": '{"task": "t", "expires_at": "%s"}',
    "task.received": '{"run_id": "R1", "task": "t", "attempt": 1, "eta": "%s"}',
    "task.started": '{"run_id": "R1", "task": "t", "attempt": 1, "received_at": "%s"}',
}


@pytest.mark.parametrize("moment", OUTSIDE)
@pytest.mark.parametrize("name", WITH_MOMENTS)
def test_a_moment_that_no_clock_of_ours_can_hold_is_refused_with_the_bounds(name: str, moment: str) -> None:
    with pytest.raises(MessageInvalid, match=r"is not from 1970-01-01 to before 9990-01-01 in UTC"):
        decode_data(name, (WITH_MOMENTS[name] % moment).encode())


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "9989-12-31T23:59:59.999999Z", "1970-01-01T01:00:00+01:00"])
@pytest.mark.parametrize("name", WITH_MOMENTS)
def test_a_moment_within_the_bounds_is_read(name: str, moment: str) -> None:
    decode_data(name, (WITH_MOMENTS[name] % moment).encode())


@pytest.mark.parametrize(("seats", "allowed"), [(0, False), (1, True), (2**31 - 1, True), (2**31, False)])
def test_seats_are_as_many_as_the_read_model_can_count(seats: int, allowed: bool) -> None:  # noqa: FBT001
    data = f'{{"license_id": "L1", "valid_until": "2030-01-01T00:00:00Z", "seats": {seats}}}'.encode()
    if allowed:
        assert decode_data("license.issued", data)
    else:
        with pytest.raises(MessageInvalid, match="seats"):
            decode_data("license.issued", data)
