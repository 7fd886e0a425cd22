"""Groups: runs that were sent together, kept under one id by whoever sent them (Celery: ``GroupResult.save()``)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec

from domain.aggregate import Event
from domain.message_data import Id, MessageData

SAVED: Final = 1
"""A group is saved once."""


class GroupSaved(Event, frozen=True, kw_only=True):
    """Somebody wants to find the members of a group by its id. ``result``: as Celery's ``as_tuple`` has it."""

    TOPIC: ClassVar[str] = "group.saved"
    result: list[Any]


class GroupSavedData(MessageData, frozen=True, kw_only=True):
    """Whoever sent a group wants to find its members again. Told by Ledgerq's result backend."""

    group_id: Id
    result: Annotated[
        list[Any],
        msgspec.Meta(
            min_length=2, max_length=2, description="Celery's tuple: the group's id and parent, and its members alike"
        ),
    ]


def group_stream(group_id: str) -> str:
    """The stream of a group; its id is Celery's."""
    return f"group-{group_id}"
