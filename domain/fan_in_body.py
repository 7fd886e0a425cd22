"""The body of a fan-in, a signature of Celery's as JSON has it: what has to be said for it to be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from domain.message_data import Id

_PARTS: Final = ("tasks", "header", "body")
"""The arguments of a chain, a group or a chord that are signatures, or lists of them."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is called; of Celery's options those that decide about a run."""

    task_id: Id | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    queue: str | None = None
    chain: list[dict[str, Any]] | None = None


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is to be called, or, where ``subtask_type`` says so, a chain, a group or a chord of several."""

    task: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    options: Options | None = None
    subtask_type: str | None = None
    immutable: bool = False


def check_body(value: Mapping[str, Any]) -> None:
    """See that a frozen signature, as JSON has it, can be asked for.

    Raises:
        ValueError: it cannot; the text says where and why.
    """
    signature = _checked(value)
    if signature.subtask_type is None and (signature.options is None or signature.options.task_id is None):
        raise ValueError("a task without options.task_id; a frozen signature has one")


def _checked(value: Any) -> Called:
    signature = msgspec.convert(value, Called)
    for link in (signature.options.chain if signature.options else None) or ():
        _checked(link)
    if signature.subtask_type is not None:
        kwargs = signature.kwargs or {}
        for name in _PARTS:
            part = kwargs.get(name) or ()
            for each in part if isinstance(part, list | tuple) else (part,):
                _checked(each)
    return signature
