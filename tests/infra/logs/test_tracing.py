import hashlib

import pytest

from infra.logs.tracing import attempt_span_id, trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize("traceparent", [f"00-{TRACE}-{SPAN}-01", f"01-{TRACE}-{SPAN}-00-later"])
def test_the_trace_is_that_of_the_traceparent(traceparent: str) -> None:
    assert trace_id(traceparent, "story") == TRACE


UNUSABLE = [
    *(None, "", "nonsense", f"ff-{TRACE}-{SPAN}-01"),
    *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01"),
]


@pytest.mark.parametrize("traceparent", UNUSABLE)
def test_without_a_usable_one_it_follows_from_the_story(traceparent: str | None) -> None:
    assert trace_id(traceparent, "story") == hashlib.md5(b"story").hexdigest()  # noqa: S324


def test_the_span_follows_from_the_attempt() -> None:
    assert attempt_span_id("r", 2) == hashlib.md5(b"attempt/r/2").hexdigest()[:16]  # noqa: S324
