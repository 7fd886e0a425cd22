"""Events as people write them: a line of JSON each, in which what can be filled in may be left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from domain.messages import MessageInvalid, MessageTypeUnknown, decode_data
from infra.cloudevents import CloudEvent, Unreadable, decode
from infra.cloudevents.encoding import STRUCTURED
from infra.cloudevents.event import SPECVERSION


class EventInvalidError(ValueError):
    """What was written is no event that ingest would take; the text says where and why."""


def events_of_file(path: Path, *, source: str) -> Iterator[CloudEvent]:
    """The events of a file of JSON lines; empty lines are skipped.

    Args:
        path: of the file.
        source: for lines that name none.

    Raises:
        EventInvalidError: a line is no event; the text begins with its number.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield completed_event(_object(line), source=source)
                except EventInvalidError as error:
                    raise EventInvalidError(f"{path}:{number}: {error}") from None


def completed_event(attributes: dict[str, Any], *, source: str) -> CloudEvent:
    """The event with these attributes, checked as ingest checks: the envelope, then the data against its type.

    Where it is left out, the id is a new one, the time is now, the data an empty object.

    Raises:
        EventInvalidError: it is none.
    """
    defaults = {"specversion": SPECVERSION, "id": str(uuid4()), "source": source, "data": {}}
    text = msgspec.json.encode({**defaults, "time": datetime.now(UTC), **attributes})
    [event] = decode(STRUCTURED, None, text)
    if isinstance(event, Unreadable):
        raise EventInvalidError(event.reason)
    try:
        decode_data(event.type, event.data)
    except (MessageInvalid, MessageTypeUnknown) as error:
        raise EventInvalidError(str(error)) from None
    return event


def _object(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise EventInvalidError(f"not a JSON object: {error}") from None
