"""Receiving: a call of a hook, checked, becomes one accepted run, however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from domain.cause import Cause
from domain.hook import Hook
from domain.run_id import requested_run_id
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from domain.tier import Tier
from domain.webhook import NAME
from infra.cloudevents.text import unstorable
from infra.event_store import EventStore, Log, NewEvent
from infra.settings import Settings
from infra.webhooks.secrets import hook_secret
from infra.webhooks.signature import CallStaleError, SignatureRefusedError, check_signature
from tasks.webhooks.reading import hook

BODY_LIMIT_BYTES: Final = 65_536
"""Longest body of a call: it becomes an argument of a task, which lives in the log."""
BUSY_AFTER_SECONDS: Final = 60
"""When a caller is to come again whose task's tier has no room."""


class Call(NamedTuple):
    """A request as it came.

    Attributes:
        name: of the hook.
        headers: with names in lower case.
        body: at most :data:`BODY_LIMIT_BYTES`.
    """

    name: str
    headers: Mapping[str, str]
    body: bytes


class CallRefusedError(Exception):
    """A call asks for nothing; the text says what was wrong and what is allowed, and ``status`` is HTTP's."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


class Taken(NamedTuple):
    """What a call has asked for.

    Attributes:
        run_id: the run.
        position: of its acceptance in the log of tasks.
        is_repeat: whether an earlier call with the same id had asked for it.
    """

    run_id: UUID
    position: int
    is_repeat: bool


def receive(call: Call, store: EventStore, settings: Settings, *, now: datetime) -> Taken:
    """Accept the run that the call asks for; stored when this returns.

    Raises:
        CallRefusedError: the call is not one that the hook takes.
        WebhookKeyMissingError: there is no key to check it with.
    """
    if len(call.body) > BODY_LIMIT_BYTES:
        raise CallRefusedError(413, f"the body is longer than {BODY_LIMIT_BYTES:,} bytes, the most that is taken")
    known = hook(store, call.name) if NAME.fullmatch(call.name) else Hook(call.name)
    webhook_id = _checked(call, known, settings, now)
    declared = known.declared
    if declared is None:
        raise CallRefusedError(404, "there is no such hook")
    if (limit := settings.tier_backlog_limit_runs) and store.backlog(Tier(declared.tier), most=limit) >= limit:
        raise CallRefusedError(503, f"too many tasks wait already; come again in {BUSY_AFTER_SECONDS} s")
    request = _request(known, webhook_id, _payload(call.body), now)
    (verdict,) = store.append_each(Log.TASKS, [request])
    if verdict.position is None:
        raise CallRefusedError(409, "a run of this id was accepted for another cause")
    run_id = UUID(request.event.originator_id.removeprefix(run_stream("")))
    return Taken(run_id, verdict.position, verdict.outcome == "repeat")


def _checked(call: Call, known: Hook, settings: Settings, now: datetime) -> str:
    """The call's id; refused alike where there is no such hook, so that nobody learns which there are."""
    secrets = [hook_secret(settings, known.name, generation) for generation in known.generations(at=now)]
    try:
        return check_signature(call.body, call.headers, secrets, now=now)
    except SignatureRefusedError as error:
        raise CallRefusedError(400 if isinstance(error, CallStaleError) else 401, str(error)) from None


def _payload(body: bytes) -> Any:
    """What was sent, as an argument.

    Raises:
        CallRefusedError: it is no JSON, or none that can be stored.
    """
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallRefusedError(422, f"the body is no JSON: {error}") from None
    if flaw := unstorable(b'{"kwargs":{"payload":%b}}' % body):  # as deep as it will be within the event
        raise CallRefusedError(422, f"the body cannot be stored: {flaw}")
    return payload


def _request(known: Hook, webhook_id: str, payload: Any, now: datetime) -> NewEvent:
    declared, call_id = known.terms(), known.call_id(webhook_id)
    event = TaskRequested(
        originator_id=run_stream(requested_run_id(call_id)),
        originator_version=SLOT_REQUESTED,
        timestamp=now,
        task=declared.task,
        kwargs={**declared.kwargs, declared.argument: payload},
        tier=declared.tier,
    )
    cause = Cause(id=call_id, at=now, actor=f"webhook:{known.name}", source_event_id=webhook_id)
    return NewEvent(event, uuid5(call_id, event.name), cause.metadata())
