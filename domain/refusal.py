"""Refusals: the domain's way to say no. An answer, not an accident: never retried, always recorded."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818  a refusal is not an error
    """The domain refuses: {detail}. The docstring of each subclass is its message."""

    def __init__(self, stream_id: str, **detail: object) -> None:
        self.stream_id = stream_id
        self.detail = detail
        template = (type(self).__doc__ or "").strip().splitlines()[0].rstrip(".")
        super().__init__(f"{stream_id}: {template.format(**detail)}")

    @property
    def code(self) -> str:
        """Stable name for headers and SQL: the class name."""
        return type(self).__name__
