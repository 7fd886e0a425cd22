from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pika.data
import pytest

from infra.broker.odd_headers import UNREADABLE, tolerate_odd_headers


@pytest.fixture(autouse=True)
def _tolerant() -> Iterator[None]:
    before = pika.data.decode_value, pika.data.decode_table
    tolerate_odd_headers()
    yield
    pika.data.decode_value, pika.data.decode_table = before


def table(kind: bytes, content: bytes) -> bytes:
    entries = b"\x05first" + b"t\x01" + b"\x04self" + kind + content + b"\x04last" + b"t\x01"
    return struct.pack(">I", len(entries)) + entries


def decoded(kind: bytes, content: bytes) -> Any:
    encoded = table(kind, content)
    found, end = pika.data.decode_table(encoded, 0)
    assert end == len(encoded)
    assert (found["first"], found["last"]) == (True, True)
    return found["self"]


def test_a_time_past_the_year_9999_is_its_number() -> None:
    assert decoded(b"T", struct.pack(">Q", 1_700_000_000_000_000)) == 1_700_000_000_000_000


def test_a_time_within_range_is_a_time() -> None:
    assert decoded(b"T", struct.pack(">Q", 86_400)) == datetime(1970, 1, 2, tzinfo=UTC)


def test_floats_stay_floats_and_need_not_be_numbers() -> None:
    assert decoded(b"d", struct.pack(">d", 0.25)) == 0.25
    assert decoded(b"f", struct.pack(">f", 0.5)) == 0.5
    assert math.isnan(decoded(b"d", struct.pack(">d", math.nan)))
    assert decoded(b"d", struct.pack(">d", math.inf)) == math.inf


def test_the_rest_is_pika_s() -> None:
    assert decoded(b"S", struct.pack(">I", 2) + b"ab") == "ab"
    assert decoded(b"F", table(b"T", struct.pack(">Q", 2**60))) == {"first": True, "self": 2**60, "last": True}


def test_headers_nested_without_end_are_left_out() -> None:
    nested = b""
    for _ in range(20_000):
        nested = b"A" + struct.pack(">I", len(nested)) + nested
    entries = b"\x01a" + nested
    encoded = struct.pack(">I", len(entries)) + entries
    assert pika.data.decode_table(encoded, 0) == ({UNREADABLE: True}, len(encoded))
