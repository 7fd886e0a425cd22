"""Limits by name: so many at once, then as time passes; in bounded memory. An address counts as its owner has it."""

from __future__ import annotations

import pytest

from infra.web.client import counted
from infra.web.pace import Pace


class Clock:
    """A present that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_requests_are_made_at_once_and_then_as_many_as_time_allows() -> None:
    clock = Clock()
    pace = Pace(2, clock=clock)
    assert [pace.wait_seconds("a") for _ in range(3)] == [0, 0, 0.5]
    assert pace.wait_seconds("b") == 0
    clock.now = 0.5
    assert [pace.wait_seconds("a") for _ in range(2)] == [0, 0.5]


def test_asking_whether_a_request_might_be_made_does_not_count() -> None:
    pace = Pace(1, clock=Clock())
    assert [pace.wait_seconds("a", is_counted=False) for _ in range(3)] == [0, 0, 0]
    assert [pace.wait_seconds("a"), pace.wait_seconds("a", is_counted=False)] == [0, 1]


def test_however_many_come_only_so_many_names_are_remembered_the_latest() -> None:
    pace = Pace(1, names_at_most=100, clock=Clock())
    for number in range(1000):
        pace.wait_seconds(f"stranger {number}")
    assert len(pace._buckets) == 100
    assert pace.wait_seconds("stranger 999") == 1
    assert pace.wait_seconds("stranger 0") == 0


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_an_address_counts_as_what_its_owner_has(host: str, name: str) -> None:
    assert counted(host) == name
