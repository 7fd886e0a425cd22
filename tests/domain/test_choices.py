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
