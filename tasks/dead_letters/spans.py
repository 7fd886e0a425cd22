"""Spans of replays, ``replay dead``: each is the root of a trace of its own, linked to what the letter came from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from domain.task_run import TaskDeadLettered, run_stream
from infra.broker.topology import DEAD
from infra.event_store import Recorded
from infra.tracing import Context, Link, Span, Story, current, harmless, ids, names
from infra.tracing.names import Kind

_WHERE_TRACING_IS_OFF: Final = 1.0
"""Ratio: a replay is somebody's wish, and worth a trace to whoever may send it."""


def replay_root(new_run_id: str, metadata: dict[str, Any]) -> Context:
    """The root span of the replay of a letter, sampled where the letter's story is.

    Args:
        new_run_id: the run in the place of the one that died.
        metadata: what stands beside the dead letter.
    """
    return ids.replayed(new_run_id, is_sampled=_story(metadata).is_sampled)


def tell_replayed(letter: Recorded, new_run_id: str, *, actor: str, at: datetime) -> None:
    """Tell that a letter was replayed.

    Args:
        letter: the dead letter's event.
        new_run_id: the run in its place.
        actor: who asked for it.
        at: when it began.
    """
    tracer = current()
    if tracer is None:
        return
    with harmless:
        root = replay_root(new_run_id, letter.metadata)
        if not root.is_sampled:
            return
        died, story = letter.event, _story(letter.metadata)
        assert isinstance(died, TaskDeadLettered)  # noqa: S101  that is what makes it a letter
        run_id = died.originator_id.removeprefix(run_stream(""))
        links = [Link(story.at(ids.buried(run_id)), names.LINK_DEAD_LETTER)]
        links.append(Link(story.told or story.at(ids.dispatched(run_id)), names.LINK_FIRST_PUBLISHED))
        tracer.send(
            Span(
                name=names.span_name(names.REPLAY, DEAD),
                kind=Kind.INTERNAL,
                context=root,
                parent=None,
                began=at,
                ended=datetime.now(UTC),
                attributes={names.RUN_ID: new_run_id, names.TASK: died.task, names.ACTOR: actor},
                links=links,
            )
        )


def _story(metadata: dict[str, Any]) -> Story:
    tracer = current()
    return Story.of_metadata(metadata, ratio=tracer.ratio if tracer else _WHERE_TRACING_IS_OFF)
