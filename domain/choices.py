"""What a place of a message's data allows, for whoever said something else there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

_PLACE: Final = re.compile(r".* - at `(\$[^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\[[^\]]*\]|[^.\[$]+")
_CONTAINERS: Final = (tuple, list, dict)
_UNIONS: Final = (Union, UnionType)


def allowed_by(shape: type[msgspec.Struct], error: str) -> str | None:
    """What would have been allowed, where msgspec says what was wrong and not that.

    Args:
        shape: of the data.
        error: what msgspec said of it.

    Returns:
        the choices, the fields or the form, in words; None where the error says it itself.
    """
    found = _PLACE.fullmatch(error)
    place = found[1] if found else "$"
    if error.startswith("Invalid enum value"):
        return ", ".join(choices_at(shape, place)) or None
    if error.startswith("Object contains unknown field"):
        return ", ".join(fields_at(shape, place)) or None
    if "matching regex" in error or error.startswith("Invalid RFC3339"):
        return _form_at(shape, place)
    return None


def choices_at(shape: type[msgspec.Struct], path: str) -> tuple[str, ...]:
    """The values of which one has to stand at a place of the data; empty where that is no choice of a few.

    Args:
        shape: of the data.
        path: as msgspec names places: ``$.policy.expiry``.
    """
    enums = [part for part in _at(shape, path) if isinstance(part, type) and issubclass(part, Enum)]
    return tuple(str(choice.value) for enum in enums for choice in enum)


def fields_at(shape: type[msgspec.Struct], path: str) -> tuple[str, ...]:
    """The names that an object may have at a place of the data; empty where it may have any, or where no object is."""
    return tuple(field.name for struct in _structs(_at(shape, path)) for field in msgspec.structs.fields(struct))


def _form_at(shape: type[msgspec.Struct], path: str) -> str | None:
    metas = [meta for part in _at(shape, path) if get_origin(part) is Annotated for meta in part.__metadata__]
    return next((meta.description for meta in metas if isinstance(meta, msgspec.Meta) and meta.description), None)


def _at(shape: type[msgspec.Struct], path: str) -> tuple[Any, ...]:
    """The types that a place may have, as they are annotated and bare."""
    found: tuple[Any, ...] = (shape,)
    for step in _STEP.findall(path):
        if step.startswith("["):
            types = [each for part in found if get_origin(part) in _CONTAINERS for each in get_args(part)]
        else:
            fields = [field for each in _structs(found) for field in msgspec.structs.fields(each)]
            types = [field.type for field in fields if field.name == step]
        found = tuple(part for each in types for part in _bared(each))
    return found


def _bared(type_: Any) -> Iterator[Any]:
    """A type, and what it is without its annotation, or may be one of."""
    yield type_
    origin = get_origin(type_)
    if origin is Annotated:
        yield from _bared(get_args(type_)[0])
    elif origin in _UNIONS:
        for each in get_args(type_):
            yield from _bared(each)


def _structs(parts: tuple[Any, ...]) -> list[type[msgspec.Struct]]:
    return [part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)]
