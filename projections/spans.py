"""Spans of batches being projected, ``project <projection>``: roots, linked to the storing of what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from infra.event_store import Log, Page
from infra.tracing import Context, Link, Span, Tracer, current, harmless, ids, names
from infra.tracing.appending import UNTRACED
from infra.tracing.names import Kind


def tell_projected(follower: str, projection: str, log: Log, page: Page, *, began: datetime) -> None:
    """Tell that a page is projected, if it holds anything of a sampled story.

    Args:
        follower: whose checkpoint was moved.
        projection: the name.
        log: where the page is from.
        page: what was read.
        began: when.
    """
    tracer = current()
    if tracer is None or log.value == UNTRACED:
        return
    with harmless:
        links = list(islice(_links(page, tracer), names.MOST_LINKS))
        if not links:
            return
        name = f"{follower}/{log.value}/{page.position}"
        tracer.send(
            Span(
                name=names.span_name(names.PROJECT, projection),
                kind=Kind.CONSUMER,
                context=Context(ids.trace_id(name), ids.emitted(name), is_sampled=True),
                parent=None,
                began=began,
                ended=datetime.now(UTC),
                attributes={
                    names.PROJECTION: projection,
                    names.LOG: log.value,
                    names.BATCH_COUNT: len(page.events),
                    names.FIRST_POSITION: page.events[0].position,
                    names.LAST_POSITION: page.events[-1].position,
                },
                links=links,
            )
        )


def _links(page: Page, tracer: Tracer) -> Iterator[Link]:
    for each in page.events:
        story = tracer.story(each.metadata)
        if story.is_sampled:
            said = {names.EVENT_NAME: each.event.TOPIC, names.EVENT_ID: str(each.event_id)}
            yield Link(story.at(ids.appended(each.event_id)), names.LINK_APPENDED, said)
