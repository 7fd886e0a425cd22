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


def members_of(saved: GroupSaved) -> tuple[tuple[str, ...], ...]:
    """Of each member the runs of its links, in order; one that ends in a group is as many as that has.

    Raises:
        TypeError, ValueError: what was told is no result of Celery's.
    """
    _, members = saved.result
    return tuple(links for each in members for links in _members(each))


def root_of(result: list[Any]) -> str:
    """The first run of the chain that a group ends; of a group alone, the group."""
    (own, before), _ = result
    return str(own) if before is None else root_of(before)


def _members(result: Any) -> list[tuple[str, ...]]:
    (own, before), members = result
    links = _before(before)
    if members is None:
        return [(*links, str(own))]
    return [tuple(dict.fromkeys((*links, *each))) for member in members for each in _members(member)]


def _before(result: Any) -> tuple[str, ...]:
    """The runs that come before, the first one first; a group among them is no run."""
    if result is None:
        return ()
    (own, before), members = result
    return (*_before(before), *((str(own),) if members is None else ()))


def group_stream(group_id: str) -> str:
    """The stream of a group; its id is Celery's."""
    return f"group-{group_id}"
