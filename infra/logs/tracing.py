"""The ids by which a line is found from its trace and a trace from its line."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
"""W3C Trace Context, section 3.2."""


def trace_id(traceparent: str | None, correlation_id: str) -> str:
    """The trace of what carries a ``traceparent``, or no usable one: then it follows from the correlation id."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return found[1] if found else _digest(correlation_id)


def attempt_span_id(run_id: str, attempt: int) -> str:
    """The span of an attempt, from 1."""
    return _digest(f"attempt/{run_id}/{attempt}")[:16]


def _digest(name: str) -> str:
    return hashlib.md5(name.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
