"""A tracer that fails at whatever it is asked, as a mistake of ours would make it."""

from __future__ import annotations

from typing import Any, NoReturn

from infra.tracing import Tracer


class BrokenTracer(Tracer):
    """Raises instead of sending, of telling a story's trace, and of telling the ratio."""

    def __init__(self, *, can_begin: bool = False) -> None:
        self._can_begin = can_begin

    @property
    def ratio(self) -> float:  # type: ignore[override]  # it is read only
        """Raises, unless spans can begin and fail only when they are sent."""
        if self._can_begin:
            return 1.0
        raise ZeroDivisionError("a mistake of ours")

    def story(self, *_metadata: Any) -> NoReturn:
        """Raises."""
        raise ZeroDivisionError("a mistake of ours")

    def send(self, *_span: Any) -> NoReturn:
        """Raises."""
        raise ZeroDivisionError("a mistake of ours")
