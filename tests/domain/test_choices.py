from __future__ import annotations

import pytest

from domain.choices import choices_at
from domain.messages import MESSAGES, MessageInvalid, decode_data


@pytest.mark.parametrize(
    ("name", "path", "choices"),
    [
        ("license.policy_changed", "$.policy.expiry", ("restrict", "revoke", "maintain")),
        ("task.requested", "$.tier", ("critical", "high", "normal", "low")),
        ("task.requested", "$.task", ()),
        ("task.requested", "$.no.such[0].place", ()),
    ],
)
def test_a_place_of_the_data_has_its_choices(name: str, path: str, choices: tuple[str, ...]) -> None:
    assert choices_at(MESSAGES[name], path) == choices


def test_who_chose_none_of_the_choices_is_told_them() -> None:
    with pytest.raises(MessageInvalid) as invalid:
        decode_data("license.policy_changed", b'{"license_id": "l", "policy": {"overage": "3x"}}')
    assert str(invalid.value) == (
        "license.policy_changed: Invalid enum value '3x' - at `$.policy.overage`; "
        "allowed are none, 1.25x, 1.5x, 2x, always"
    )


@pytest.mark.parametrize(
    ("name", "data", "allowed"),
    [
        ("session.ended", '{"session_id": "S1", "raeson": "x"}', "session_id, reason"),
        ("session.ended", '{"session_id": "a b"}', "1 to 100 letters, digits, dots, underscores, colons or hyphens; "),
        (
            "license.issued",
            '{"license_id": "L1", "valid_until": "2030-01-01"}',
            "RFC 3339 date-time with an offset, from 1970-01-01 to before 9990-01-01 in UTC",
        ),
        (
            "license.issued",
            '{"license_id": "L1", "valid_until": "2030-01-01T00:00:00Z", "policy": {"patience": 5}}',
            "name, heartbeat_interval_seconds, patience_seconds, monitoring_starts, ",
        ),
        (
            "license.issued",
            '{"license_id": "L1", "valid_until": "2030-01-01T00:00:00Z", "entitlements": ["s s o"]}',
            "1 to 100 letters, digits, dots, ",
        ),
        (
            "license.issued",
            '{"license_id": "L1", "valid_until": "2030-01-01T00:00:00Z", "holder_email": "a b"}',
            "up to 254 characters, none of them white space, with one @ among them",
        ),
    ],
    ids=["field", "id", "moment", "field within", "element", "address"],
)
def test_who_said_what_is_not_allowed_is_told_what_is(name: str, data: str, allowed: str) -> None:
    with pytest.raises(MessageInvalid) as invalid:
        decode_data(name, data.encode())
    assert f"; allowed are {allowed}" in str(invalid.value)


def test_an_error_that_says_what_is_allowed_says_it_once() -> None:
    with pytest.raises(MessageInvalid) as invalid:
        decode_data("license.seats_changed", b'{"license_id": "L1", "seats": 0}')
    assert str(invalid.value) == "license.seats_changed: Expected `int` >= 1 - at `$.seats`"
