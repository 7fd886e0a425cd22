"""Choices: which values a field of a message's data allows, for whoever chose none of them."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

import msgspec


def choices_at(shape: type[msgspec.Struct], path: str) -> tuple[str, ...]:
    """What is allowed at a place of a message's data; empty where that is no choice of a few.

    Args:
        shape: of the data.
        path: as msgspec names places: ``$.policy.expiry``.
    """
    found: tuple[Any, ...] = (shape,)
    for name in path.split(".")[1:]:
        structs = [part for part in found if isinstance(part, type) and issubclass(part, msgspec.Struct)]
        fields = {field.name: field.type for struct in structs for field in msgspec.structs.fields(struct)}
        found = (fields.get(name), *get_args(fields.get(name)))
    enums = [part for part in found if isinstance(part, type) and issubclass(part, Enum)]
    return tuple(str(choice.value) for enum in enums for choice in enum)
