from __future__ import annotations

from datetime import timedelta

import pytest

from domain.license_policy import LicensePolicy, Overage, Resurrection


@pytest.mark.parametrize(
    ("overage", "seats", "limit"),
    [
        ("none", 25, 25),
        ("1.25x", 25, 31),
        ("1.25x", 1, 1),
        ("1.5x", 25, 37),
        ("2x", 25, 50),
        ("always", 25, None),
        ("2x", None, None),
    ],
)
def test_overage_lets_so_many_sessions_take_a_seat(overage: str, seats: int | None, limit: int | None) -> None:
    assert Overage(overage).limit(seats) == limit


def test_a_session_may_resume_for_as_long_as_the_policy_names() -> None:
    minutes = {choice.value: choice.window and choice.window / timedelta(minutes=1) for choice in Resurrection}
    assert minutes == {
        "never": timedelta(0),
        "1_minute": 1,
        "2_minutes": 2,
        "5_minutes": 5,
        "10_minutes": 10,
        "15_minutes": 15,
        "always": None,
    }


def test_the_defaults_are_how_licenses_behaved_before_they_had_a_policy() -> None:
    assert LicensePolicy() == LicensePolicy(
        patience_seconds=None,
        monitoring_starts="creation",  # type: ignore[arg-type]
        on_lapse="end",  # type: ignore[arg-type]
        resurrection="10_minutes",  # type: ignore[arg-type]
        expiry="restrict",  # type: ignore[arg-type]
        overage="none",  # type: ignore[arg-type]
    )
