"""Emitting events over HTTP (CloudEvents HTTP binding 1.0.2, structured, batched, binary)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from domain.messages import LIFECYCLE, MESSAGES, MessageInvalid, MessageTypeUnknown, WatermarkData, decode_data
from infra.broker.emitter import NotEmittedError
from infra.cloudevents import CloudEvent, Unreadable
from infra.cloudevents.binary import PREFIXES
from infra.cloudevents.decoding import decode
from infra.cloudevents.encoding import BATCH, STRUCTURED
from infra.cloudevents.event import JSON
from infra.web.operation import Call, Operation
from infra.web.problem import Problem
from infra.web.role import Role

EVENTS_AT_MOST: Final = 1000
_OURS: Final = frozenset({*LIFECYCLE, *(name for name, kind in MESSAGES.items() if kind is WatermarkData)})
"""What workers and ingest tell, and nobody else."""
_CE: Final = "ce-"
_BINARY: Final = {
    f"{_CE}{name}": f"the event's {name}, percent-encoded (binary mode: the body is its data)"
    for name in ("specversion", "id", "source", "type", "time")
}


class Emitted(msgspec.Struct, frozen=True):
    """The broker has them; ingest is going to store them, or set aside what the rules of the domain refuse."""

    count: int


def emit(call: Call) -> Emitted:
    """Emit what the body has: all of it, or, where one of it is no event, nothing."""
    found = _found(call.headers, call.body)
    if len(found) > EVENTS_AT_MOST:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{len(found)} events; allowed are {EVENTS_AT_MOST} at once")
    problems = [{"index": index, "reason": why} for index, each in enumerate(found) if (why := _flaw(each))]
    if problems:
        said = f"{len(problems)} of {len(found)} are no events that are taken here; nothing was emitted"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, problems=problems)
    events = [_signed(each, call.bearer.actor) for each in found if isinstance(each, CloudEvent)]
    try:
        call.desk.emit(events)
    except NotEmittedError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; emit all again: repeats are recognized") from error
    return Emitted(len(events))


def _found(headers: Mapping[str, str], body: bytes) -> list[CloudEvent | Unreadable]:
    media = headers["content-type"]
    if media.partition(";")[0].strip().lower() != JSON:
        return decode(media, None, body)
    given = {name.removeprefix(_CE): value for name, value in headers.items() if name.startswith(_CE)}
    if not given:
        said = f"a body of {JSON} is an event's data; the event's attributes are headers: {', '.join(_BINARY)}, …"
        return [Unreadable.of(said, body)]
    try:
        attributes = {f"{PREFIXES[0]}{name}": unquote(value, errors="strict") for name, value in given.items()}
    except UnicodeDecodeError:
        return [Unreadable.of(f"a header {_CE}… is no percent-encoded UTF-8", body)]
    return decode(media, attributes, body)


def _flaw(found: CloudEvent | Unreadable) -> str | None:
    if isinstance(found, Unreadable):
        return found.reason
    if found.type in _OURS:
        return f"type {found.type!r} is told by the platform's own processes alone"
    try:
        decode_data(found.type, found.data)
    except (MessageInvalid, MessageTypeUnknown) as error:
        return str(error)
    return None


def _signed(event: CloudEvent, actor: str) -> CloudEvent:
    """Who did it is what the event says; where it says nothing, who emitted it."""
    return event if event.actor is not None else msgspec.structs.replace(event, actor=actor)


EMITTING: Final = (
    Operation(
        method="POST",
        path="/events",
        name="emitEvents",
        summary="Emit an event, or a batch of at most 1 000: all of them, or none where one is unsound.",
        role=Role.EMITTER,
        handle=emit,
        answer=Emitted,
        status=HTTPStatus.ACCEPTED,
        media={STRUCTURED: dict[str, Any], BATCH: list[dict[str, Any]], JSON: Any},
        request_headers=_BINARY,
    ),
)
