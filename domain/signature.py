"""The runs that a frozen signature of Celery stands for, whatever its shape, and their error callbacks. Pure."""

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


def errbacks_of(signature: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The error callbacks of a body that will never run, by the runs that they are told of, as Celery has it.

    Those of a chain are told of its last run, those of a group of each of its tasks, those of a chord of its body.

    Args:
        signature: as JSON has it, frozen.
    """
    options, kwargs = signature.get("options") or {}, signature.get("kwargs") or {}
    own = list(options.get("link_error") or ())
    match signature.get("subtask_type"):
        case "group":
            each = (errbacks_of(task) for task in _parts(signature))
            return {run: _each_once([*callbacks, *own]) for task in each for run, callbacks in task.items()}
        case "chord" if isinstance(body := kwargs.get("body"), Mapping):
            return {run: _each_once([*own, *callbacks]) for run, callbacks in errbacks_of(body).items()}
        case "chain" if runs := _of_canvas(signature):
            return {runs[-1].run_id: own}
        case _:
            return {str(options.get("task_id")): own}


def _of_canvas(signature: Mapping[str, Any]) -> list[Step]:
    return list(chain.from_iterable(map(_steps, _parts(signature))))


def _each_once(callbacks: list[Any]) -> list[Any]:
    return [each for n, each in enumerate(callbacks) if each not in callbacks[:n]]


def _steps(signature: Mapping[str, Any]) -> Iterator[Step]:
    options = signature.get("options") or {}
    if signature.get("subtask_type") is not None:
        yield from _of_canvas(signature)
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
