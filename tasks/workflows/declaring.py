"""In a client, or in a task: a chord is declared to the platform before its members are sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from celery.result import AsyncResult, GroupResult
from kombu.utils import json

from domain.fan_in import FanInDeclaredData
from infra.broker.emitter import Emitter
from infra.cloudevents import new_event
from infra.settings import load_settings
from infra.tracing import active_context

SOURCE: Final = "/ledgerq/chord"
DECLARED: Final = "fan_in.declared"
ALL: Final = "all"
ANY: Final = "any"
OPTION: Final = "fan_in"
"""Option of a chord's body that says how many members have to succeed: ``all``, ``any``, or a number."""


class FanIn:
    """What a result backend needs for chords (Celery documentation, "Chords"): here nothing polls and nobody counts.

    The members' ends are events in the log, and dispatch counts those.
    """

    app: Any

    def apply_chord(self, header_result_args: Any, body: Any, **_options: Any) -> None:
        """Declare the chord; Celery sends its members afterwards.

        Raises:
            ValueError: ``fan_in`` is neither ``all``, ``any`` nor a number of members.
            BrokerError: the broker has not confirmed it; no member has been sent.
        """
        fan_in_id, results = header_result_args
        signature = msgspec.json.decode(json.dumps(body))  # type: ignore[no-untyped-call]
        told = {
            "fan_in_id": str(fan_in_id),
            "members": [links for result in results for links in members_of(result)],
            "body": signature,
            "least": least_of(signature.get("options", {}).pop(OPTION, ALL)),
        }
        event = new_event(
            DECLARED, source=SOURCE, data=msgspec.convert(told, FanInDeclaredData), time=datetime.now(UTC)
        )
        story = story_within(self.app) or signature.get("options", {}).get("root_id") or str(fan_in_id)
        named = msgspec.structs.replace(
            event, id=str(fan_in_id), correlationid=story, traceparent=self._trace(signature) or event.traceparent
        )
        with Emitter(load_settings(), role="chord") as emitter:
            emitter.emit(named)

    def _trace(self, body: dict[str, Any]) -> Any:
        """The trace that its sender names, or else that of the task that sends it; None: what the emitter finds."""
        parent = self.app.current_worker_task
        told = (body.get("options", {}).get("headers") or {}).get("traceparent")
        if told or parent is None or active_context() is not None:  # the emitter passes the active one on itself
            return told
        return parent.request.get("traceparent")

    def on_chord_part_return(self, *_given: Any, **_named: Any) -> None:
        """Nothing: the log counts."""

    def set_chord_size(self, *_given: Any, **_named: Any) -> None:
        """Nothing: it was declared."""


def story_within(app: Any) -> str | None:
    """The story of the task that is being executed; None outside of one."""
    own = app.current_worker_task
    return None if own is None else own.request.get("ledgerq-correlation-id") or own.request.root_id


def least_of(option: object) -> int | None:
    """How many members have to succeed; None: all.

    Raises:
        ValueError: ``option`` says no such thing.
    """
    if option == ALL:
        return None
    if option == ANY:
        return 1
    if isinstance(option, int) and not isinstance(option, bool) and option >= 1:
        return option
    raise ValueError(f"{OPTION}={option!r}: allowed are {ALL!r}, {ANY!r}, or how many members have to succeed, from 1")


def members_of(result: Any) -> list[list[str]]:
    """Of each member the runs of its links, in order. One that ends in a group is as many as the group has.

    Args:
        result: what Celery gives for one part of the header.
    """
    if not isinstance(result, GroupResult):
        return [_links(result)]
    before = _links(result.parent)
    ends = [links for each in result.results for links in members_of(each)]
    return [list(dict.fromkeys([*before, *links])) for links in ends]


def _links(result: Any) -> list[str]:
    """The runs of a member, first to last: those of a chain's links are each other's parents."""
    links: list[str] = []
    node = result
    while node is not None:
        if isinstance(node, AsyncResult):
            links.append(str(node.id))
        node = node.parent
    return links[::-1]
