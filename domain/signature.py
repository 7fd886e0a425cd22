"""The runs that a frozen signature of Celery stands for, whatever its shape. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple


class Step(NamedTuple):
    """A run that would have been asked for: its id and the name of its task."""

    run_id: str
    task: str


def steps_of(signature: Mapping[str, Any]) -> list[Step]:
    """Every run of a signature and of the links of a chain behind it, each once; a group or a chain itself is no run.

    Args:
        signature: as JSON has it, frozen: each task of it has its id.
    """
    return list(dict.fromkeys(_steps(signature)))


def _steps(signature: Mapping[str, Any]) -> Iterator[Step]:
    options = signature.get("options") or {}
    if signature.get("subtask_type") is not None:
        yield from chain.from_iterable(map(_steps, _parts(signature)))
    elif run_id := options.get("task_id"):
        yield Step(str(run_id), str(signature.get("task")))
    yield from chain.from_iterable(map(_steps, reversed(options.get("chain") or ())))  # embedded in reverse


def _parts(signature: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    kwargs = signature.get("kwargs") or {}
    for name in ("tasks", "header", "body"):
        part = kwargs.get(name) or ()
        yield from (part,) if isinstance(part, Mapping) else _signatures(part)


def _signatures(part: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (each for each in part if isinstance(each, Mapping))
