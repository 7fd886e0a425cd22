"""Waiting on a condition with a deadline: the only way tests wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(probe: Callable[[], Value], *, seconds: float = 20.0, every: float = 0.05) -> Value:
    """Call ``probe`` until it returns something true and return that.

    Args:
        probe: asked again and again; an ``AssertionError`` it raises counts as "not yet".
        seconds: deadline.
        every: pause between two calls, in seconds.

    Raises:
        AssertionError: the deadline passed; carries the last answer or the last failed assertion.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer: Value | AssertionError = probe()
        except AssertionError as unmet:
            answer = unmet
        if answer and not isinstance(answer, AssertionError):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; last answer: {answer!r}")
        time.sleep(every)
