"""What the log keeps of a dead message comes back as it was, and what cannot be kept is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.kept_message import HEADER_LIMIT_BYTES, KeptMessage

LIMIT = 65_536


def kept(body: bytes = b"", limit_bytes: int = LIMIT, **headers: Any) -> KeptMessage:
    """What comes back after it was stored."""
    made = KeptMessage.of(body, headers, limit_bytes=limit_bytes, content_type="application/json")
    return msgspec.json.decode(msgspec.json.encode(made), type=KeptMessage)


@given(body=st.binary(max_size=200))
def test_any_body_comes_back_as_it_was(body: bytes) -> None:
    found = kept(body)
    assert found.body_bytes() == body
    assert "\0" not in (found.body or "")


def test_a_body_beyond_the_limit_is_left_out_and_its_size_is_known() -> None:
    found = kept(b"x" * 11, limit_bytes=10)
    assert (found.body_bytes(), found.size_bytes) == (None, 11)
    assert kept(b"x" * 10, limit_bytes=10).body_bytes() == b"x" * 10


def test_headers_that_json_holds_come_back_the_same() -> None:
    headers = {"task": "bill", "retries": 2, "timelimit": [60, None], "stamps": {"a": [1.5, True]}, "eta": None}
    found = kept(**headers)
    assert (found.headers, found.headers_left_out) == (headers, ())


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        datetime(2026, 1, 1, tzinfo=UTC),
        float("nan"),
        float("inf"),
        "\ud800",
        "nul \0",
        {"deep": {"x" * (HEADER_LIMIT_BYTES + 1): 1}},
        {1: "a number for a name"},
        object(),
    ],
)
def test_headers_that_json_does_not_hold_are_named(value: object) -> None:
    found = kept(odd=value, task="bill")
    assert (found.headers, found.headers_left_out) == ({"task": "bill"}, ("odd",))


def test_no_depth_of_headers_and_no_number_of_them_is_too_much() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert kept(deep=deep).headers == {}
    many = kept(**{f"header-{number}": "x" * 1000 for number in range(100)})
    assert 50 < len(many.headers) < 66
    assert len(many.headers) + len(many.headers_left_out) == 100


def test_odd_properties_are_made_unicode() -> None:
    odd = KeptMessage.of(b"", {}, limit_bytes=1, content_type="\ud800", content_encoding=None)
    assert msgspec.json.encode(odd)
