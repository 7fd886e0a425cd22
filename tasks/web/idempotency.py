"""Idempotency keys: one key is one request, and so one run (draft-ietf-httpapi-idempotency-key-header-07)."""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec

from domain.task_run import TaskRequested, run_stream
from domain.unique_key import folded_stream
from infra.cloudevents import CloudEvent
from infra.event_store import EventStore, Log, Recorded
from infra.web.operation import Call
from infra.web.problem import Problem

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 200


def key_of(call: Call) -> str | None:
    """The key that a request names; None: it names none.

    Raises:
        Problem: 400, what it names is none.
    """
    key = call.headers.get(HEADER.lower())
    if key is not None and not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{HEADER} is 1 to {LONGEST} printable ASCII characters")
    return key


def named(event: CloudEvent, key: str, wanted: msgspec.Struct, *, source: str) -> CloudEvent:
    """The event under the key, with a digest of all that was asked for as its cause.

    The log keeps both beside what comes of the event, be it a run or that it was folded into one; so a repeat is
    told from another request without a table of keys.

    Args:
        event: what is to be emitted.
        key: its id.
        wanted: what was asked for.
        source: whose key it is.
    """
    digest = sha256(msgspec.json.encode(wanted, order="deterministic")).hexdigest()
    return msgspec.structs.replace(event, id=key, source=source, causationid=f"sha256:{digest}")


def recorded(store: EventStore, run_id: UUID, message_id: UUID) -> Recorded | None:
    """What has come of a request: that its run was accepted, or that it was folded into another; None: nothing yet."""
    run, folded = run_stream(run_id), folded_stream(message_id)
    told = store.load_recorded(Log.TASKS, [run]).get(run, [])
    accepted = next((each for each in told if isinstance(each.event, TaskRequested)), None)
    return accepted or next(iter(store.load_recorded(Log.LICENSING, [folded]).get(folded, [])), None)


def check_same(known: Recorded, event: CloudEvent, run_id: UUID) -> None:
    """See to it that what was recorded under a key was asked for by the same request.

    Raises:
        Problem: 422, it was another.
    """
    if known.metadata.get("causation_id") != event.causationid:
        said = f"another request was made with this {HEADER}: run {run_id}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, code="idempotency_key_reused")
