"""Changing what a task is called with before it is asked for again, and saying what was changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tasks.dead_letters.letter import Payload

Patch = tuple[dict[str, Any], ...]


class EditInvalidError(ValueError):
    """What was to be changed cannot be read, or makes something of a payload that no task can be called with."""


class Edit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed about each payload, in this order.

    Attributes:
        merge: a JSON merge patch (RFC 7396) over ``{"args": [...], "kwargs": {...}}``.
        assign: keyword arguments to set, by name.
        payload: ``{"args": …, "kwargs": …}`` to put in its place, from somebody's editor.
    """

    merge: dict[str, Any] = {}
    assign: dict[str, Any] = {}
    payload: dict[str, Any] = {}

    @classmethod
    def of(cls, recorded: dict[str, Any]) -> Edit:
        """As it stands in the log."""
        return msgspec.convert(recorded, cls)

    def as_values(self) -> dict[str, Any]:
        """As it is recorded: nothing where nothing is to be changed."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    def apply(self, payload: Payload) -> tuple[Payload, Patch]:
        """The changed payload, and what was changed.

        Raises:
            EditInvalidError: what comes out has no list ``args`` or no object ``kwargs``, or something beside them.
        """
        before = as_document(payload)
        after = dict(self.payload) if self.payload else merged(before, self.merge)
        if self.assign and isinstance(after.get("kwargs"), dict):
            after = {**after, "kwargs": {**after["kwargs"], **self.assign}}
        args, kwargs = after.get("args"), after.get("kwargs")
        if set(after) != {"args", "kwargs"} or not isinstance(args, list) or not isinstance(kwargs, dict):
            raise EditInvalidError('a payload is {"args": [...], "kwargs": {...}} and nothing else')
        return Payload(tuple(args), kwargs, payload.carried), tuple(difference(before, after))


def as_document(payload: Payload) -> dict[str, Any]:
    """The payload as people edit it."""
    return {"args": list(payload.args), "kwargs": payload.kwargs}


def merged(target: Any, patch: Any) -> Any:
    """``target`` after the JSON merge patch ``patch`` (RFC 7396 §2): null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def difference(before: Any, after: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """The JSON patch (RFC 6902) that leads from one document to the other; each step first tests what stood there."""
    if before == after and type(before) is type(after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            step = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in before:
                yield {"op": "add", "path": step, "value": after[name]}
            elif name not in after:
                yield {"op": "test", "path": step, "value": before[name]}
                yield {"op": "remove", "path": step}
            else:
                yield from difference(before[name], after[name], step)
    else:
        yield {"op": "test", "path": path, "value": before}
        yield {"op": "replace", "path": path, "value": after}
