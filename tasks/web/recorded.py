"""What is answered where something was recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, description="why; it is recorded, with the token")]


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is done."""

    reason: Reason


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """It is in the log. ``min_position=POSITION`` in a question makes its answer wait until it is seen there."""

    log: str
    position: int
    run_id: str | None = None


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)
